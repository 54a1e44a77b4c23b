// A decoder-only transformer as values: what blocks build one from, and the reading of the fields that families share.

import { attentionSpec, convolutionSpec } from '../../nn/contracts.ts';
import type { RopeConfig, RopeScaling } from '../../nn/rope.ts';
import type { ModelConfig } from '../contract.ts';
import type { Activation } from './activations.ts';
import type { GateConfig, MoeConfig } from './experts.ts';
import { type ConfigReader, limits } from './reader.ts';
import { readRope } from './rope.ts';

export interface NormConfig {
  /** `rms`: Zhang and Sennrich 2019; `layer`: also subtracts the mean. */
  readonly kind: 'rms' | 'layer';
  readonly eps: number;
  /** Layer norms may have one. */
  readonly bias: boolean;
}

export interface AttentionConfig {
  readonly numHeads: number;
  readonly numKvHeads: number;
  readonly headDim: number;
  /** Bias on the query, key and value projections. */
  readonly qkvBias: boolean;
  readonly outputBias: boolean;
  /** RMS norm of q and k before rotation: of every head by itself, or over all heads at once. */
  readonly qkNorm: 'none' | 'head' | 'whole';
  /** Multiplies q·k. */
  readonly scale: number;
  /** Rotation of q and k; undefined: positions are not told apart but by the mask. */
  readonly rope: RopeConfig | undefined;
  /** Sliding window in tokens, the row's own included; undefined: all before it. */
  readonly window?: number;
  /** Scores become softcap * tanh(score / softcap). */
  readonly softcap?: number;
  /** One learned score per head that takes part in the softmax and has no value. */
  readonly sinks?: boolean;
  /** q, k and v are kept within ± this after their norms. */
  readonly clip?: number;
}

export interface MlpConfig {
  readonly kind: 'dense';
  readonly intermediateSize: number;
  readonly activation: Activation;
  /** down(act(gate(x)) * up(x)); false: down(act(up(x))). */
  readonly gated: boolean;
  readonly bias: boolean;
  /** How the gate acts, where it is not act(gate) * up. */
  readonly gate?: GateConfig;
}

/**
 * Where a layer's norms are, with x the residual stream, f attention and then the feed-forward:
 * `pre`: x + f(norm(x)) · `post`: x + norm(f(x)) · `both`: x + norm(f(norm(x))) · `parallel`: x + attention(norm(x)) +
 * feedForward(norm(x)) with one norm.
 */
export type NormPlacement = 'pre' | 'post' | 'both' | 'parallel';

/** A causal convolution over a few positions in the place of attention, gated before and after (LFM2). */
export interface ConvolutionConfig {
  readonly channels: number;
  /** Positions that it sees, the row's own included. */
  readonly taps: number;
  /** On the projections and the convolution. */
  readonly bias: boolean;
}

/** A layer mixes tokens by attention or by a convolution. */
export type LayerConfig = {
  readonly feedForward: MlpConfig | MoeConfig;
} & ({ readonly attention: AttentionConfig } | { readonly convolution: ConvolutionConfig });

export interface DecoderConfig extends ModelConfig {
  readonly norm: NormConfig;
  readonly placement: NormPlacement;
  readonly layers: readonly LayerConfig[];
  readonly headBias: boolean;
  /** Multiplies embeddings. */
  readonly embeddingScale: number;
  /** Multiplies what attention and feed-forward add to the stream. */
  readonly residualScale: number;
  /** Multiplies logits. */
  readonly logitScale: number;
  /** Logits become softcap * tanh(logit / softcap). */
  readonly logitSoftcap?: number;
}

/** What a family says about the fields that all decoders have: how they are called, and what is meant where one is absent. */
export interface DecoderDefaults {
  readonly contextLength: number;
  readonly headDim?: number;
  readonly theta?: number;
  readonly partialRotary?: number;
  readonly interleaved?: boolean;
  readonly scaling?: RopeScaling;
  /** Rotary settings may differ by kind of layer: the family reads them with `readLayerRope`. */
  readonly ropePerLayer?: boolean;
}

/** The sizes and rotation that a family's layers are made from. */
export interface DecoderBase {
  readonly hiddenSize: number;
  readonly numLayers: number;
  /** Context the rotary settings reach, and reach without a change of frequencies. */
  readonly contextLength: number;
  readonly plainContext?: number;
  /** Attention of a plain layer: no biases, no norms, full, scaled by 1 / sqrt(headDim). */
  readonly attention: AttentionConfig & { readonly rope: RopeConfig };
}

/** Reads sizes, heads and rotation. Throws bad_file for impossible values. */
export function readBase(reader: ConfigReader, defaults: DecoderDefaults): DecoderBase {
  const hiddenSize = reader.int('hidden_size', limits.hiddenSize);
  const heads = readHeads(reader, hiddenSize, defaults.headDim);
  const { rope, contextLength, plainContext } = readRope(reader, {
    theta: defaults.theta ?? 10000,
    headDim: heads.headDim,
    partialRotary: defaults.partialRotary ?? 1,
    interleaved: defaults.interleaved ?? false,
    perLayer: defaults.ropePerLayer ?? false,
    ...(defaults.scaling === undefined ? {} : { scaling: defaults.scaling }),
    contextLength: reader.int('max_position_embeddings', limits.contextLength, defaults.contextLength),
  });
  const plain = { qkvBias: false, outputBias: false, qkNorm: 'none' } as const;
  return {
    hiddenSize,
    numLayers: readLayerCount(reader),
    contextLength,
    ...(plainContext === undefined ? {} : { plainContext }),
    attention: { ...heads, ...plain, scale: heads.headDim ** -0.5, rope },
  };
}

/** What makes a family's decoder; fields left out are those of Llama. */
export interface DecoderTraits {
  readonly family: string;
  readonly layers: readonly LayerConfig[];
  readonly norm: NormConfig;
  readonly placement?: NormPlacement;
  /** Whether an absent `tie_word_embeddings` means yes. */
  readonly tiedByDefault?: boolean;
  /** Read from another field. */
  readonly tied?: boolean;
  readonly headBias?: boolean;
  readonly embeddingScale?: number;
  readonly residualScale?: number;
  readonly logitScale?: number;
  readonly logitSoftcap?: number | undefined;
}

/** The config of a decoder with these layers. Throws bad_file for impossible values. */
export function decoderConfig(reader: ConfigReader, base: DecoderBase, traits: DecoderTraits): DecoderConfig {
  const { family, layers, norm, logitSoftcap } = traits;
  const moe = layers.find(({ feedForward }) => feedForward.kind === 'moe')?.feedForward;
  const bos = readBos(reader);
  return {
    family,
    vocabSize: reader.int('vocab_size', limits.vocabSize),
    hiddenSize: base.hiddenSize,
    numLayers: layers.length,
    contextLength: base.contextLength,
    ...(base.plainContext === undefined ? {} : { plainContext: base.plainContext }),
    ...(bos === undefined ? {} : { bosTokenId: bos }),
    eosTokenIds: reader.ints('eos_token_id', limits.tokenId, 1024) ?? [],
    memory: layers.map((layer) =>
      'attention' in layer
        ? attentionSpec(layer.attention)
        : convolutionSpec(layer.convolution.channels, layer.convolution.taps),
    ),
    ...(moe?.kind === 'moe' ? { expertsPerToken: moe.topK } : {}),
    norm,
    placement: traits.placement ?? 'pre',
    layers,
    tiedEmbeddings: traits.tied ?? reader.boolean('tie_word_embeddings', traits.tiedByDefault ?? false),
    headBias: traits.headBias ?? false,
    embeddingScale: traits.embeddingScale ?? 1,
    residualScale: traits.residualScale ?? 1,
    logitScale: traits.logitScale ?? 1,
    ...(logitSoftcap === undefined ? {} : { logitSoftcap }),
  };
}

export const readLayerCount = (reader: ConfigReader): number =>
  reader.int('num_hidden_layers', limits.layers);

/** An RMS norm with the eps of `rms_norm_eps`. */
export const readRmsNorm = (reader: ConfigReader, eps = 1e-6): NormConfig => ({
  kind: 'rms',
  eps: reader.number('rms_norm_eps', limits.eps, eps),
  bias: false,
});

/** `attention` within a window; as it is without one. */
export const windowed = <A extends AttentionConfig>(attention: A, window: number | undefined): A =>
  window === undefined ? attention : { ...attention, window };

function readHeads(
  reader: ConfigReader,
  hiddenSize: number,
  defaultHeadDim: number | undefined,
): Pick<AttentionConfig, 'numHeads' | 'numKvHeads' | 'headDim'> {
  const numHeads = reader.int('num_attention_heads', limits.heads);
  const numKvHeads = reader.int('num_key_value_heads', limits.heads, numHeads);
  if (numHeads % numKvHeads !== 0) {
    reader.fail(
      'num_key_value_heads',
      `is ${numKvHeads}, must divide the ${numHeads} of num_attention_heads evenly`,
    );
  }
  const given = reader.optionalInt('head_dim', limits.headDim) ?? defaultHeadDim;
  if (given === undefined && hiddenSize % numHeads !== 0) {
    reader.fail('num_attention_heads', `is ${numHeads}, must divide hidden_size ${hiddenSize} evenly`);
  }
  return { numHeads, numKvHeads, headDim: given ?? hiddenSize / numHeads };
}

/** Rarely a list: the first is the one that starts a text. */
const readBos = (reader: ConfigReader): number | undefined =>
  reader.ints('bos_token_id', limits.tokenId)?.[0];
