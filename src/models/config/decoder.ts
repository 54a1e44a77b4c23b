// The config of a decoder-only transformer as blocks need it, and the reading of the fields that families share.

import { attentionSpec } from '../../nn/contracts.ts';
import type { RopeConfig } from '../../nn/rope.ts';
import type { ModelConfig } from '../contract.ts';
import { type ConfigReader, limits } from './reader.ts';
import { readRope } from './rope.ts';

export type Activation = 'silu' | 'gelu_erf' | 'gelu_tanh';

export interface AttentionConfig {
  readonly numHeads: number;
  readonly numKvHeads: number;
  readonly headDim: number;
  /** Bias on the query, key and value projections. */
  readonly qkvBias: boolean;
  readonly outputBias: boolean;
  /** RMS norm of every head of q and k before rotation. */
  readonly qkNorm: boolean;
  readonly rope: RopeConfig;
}

export interface MlpConfig {
  readonly kind: 'dense';
  readonly intermediateSize: number;
  readonly activation: Activation;
  readonly bias: boolean;
}

export interface MoeConfig {
  readonly kind: 'moe';
  readonly numExperts: number;
  /** Experts per token. */
  readonly topK: number;
  readonly intermediateSize: number;
  readonly activation: Activation;
  /** Router weights of the chosen experts are scaled to sum to 1. */
  readonly normTopK: boolean;
}

export interface LayerConfig {
  /** Sliding window in tokens; undefined: full attention. */
  readonly window?: number;
  readonly feedForward: MlpConfig | MoeConfig;
}

export interface DecoderConfig extends ModelConfig {
  readonly normEps: number;
  readonly attention: AttentionConfig;
  readonly layers: readonly LayerConfig[];
  /** The output head is the embedding matrix. */
  readonly tiedEmbeddings: boolean;
}

/** What a family adds to the shared fields. */
export interface DecoderTraits {
  readonly family: string;
  readonly attention: Pick<AttentionConfig, 'qkvBias' | 'outputBias' | 'qkNorm'>;
  readonly layers: readonly LayerConfig[];
  /** Values of fields that old checkpoints leave out. */
  readonly defaults: {
    readonly contextLength: number;
    readonly headDim?: number;
    readonly theta?: number;
    readonly normEps?: number;
  };
}

/** Reads the fields every decoder has. Throws bad_file for impossible values. */
export function readDecoder(reader: ConfigReader, traits: DecoderTraits): DecoderConfig {
  const hiddenSize = reader.int('hidden_size', limits.hiddenSize);
  const heads = readHeads(reader, hiddenSize, traits.defaults.headDim);
  const { rope, contextLength } = readRope(reader, {
    theta: traits.defaults.theta ?? 10000,
    headDim: heads.headDim,
    contextLength: reader.int('max_position_embeddings', limits.contextLength, traits.defaults.contextLength),
  });
  const vocabSize = reader.int('vocab_size', limits.vocabSize);
  const moe = traits.layers.find(({ feedForward }) => feedForward.kind === 'moe')?.feedForward;
  const bos = readBos(reader);
  return {
    family: traits.family,
    vocabSize,
    hiddenSize,
    numLayers: traits.layers.length,
    contextLength,
    ...(bos === undefined ? {} : { bosTokenId: bos }),
    eosTokenIds: reader.ints('eos_token_id', limits.tokenId, 1024) ?? [],
    memory: traits.layers.map(({ window }) => attentionSpec({ ...heads, window })),
    ...(moe?.kind === 'moe' ? { expertsPerToken: moe.topK } : {}),
    normEps: reader.number('rms_norm_eps', limits.eps, traits.defaults.normEps ?? 1e-6),
    attention: { ...heads, ...traits.attention, rope },
    layers: traits.layers,
    tiedEmbeddings: reader.boolean('tie_word_embeddings', false),
  };
}

export const readLayerCount = (reader: ConfigReader): number =>
  reader.int('num_hidden_layers', limits.layers);

export const readMlp = (reader: ConfigReader, bias: boolean): MlpConfig => ({
  kind: 'dense',
  intermediateSize: reader.int('intermediate_size', limits.intermediateSize),
  activation: readActivation(reader),
  bias,
});

const activations: Readonly<Record<string, Activation>> = {
  silu: 'silu',
  swish: 'silu',
  gelu: 'gelu_erf',
  gelu_new: 'gelu_tanh',
  gelu_pytorch_tanh: 'gelu_tanh',
};

export function readActivation(reader: ConfigReader): Activation {
  const name = reader.string('hidden_act') ?? 'silu';
  const activation = Object.hasOwn(activations, name) ? activations[name] : undefined;
  return (
    activation ??
    reader.unsupported(
      'hidden_act',
      `unknown activation "${name}"; supported are ${Object.keys(activations).join(', ')}`,
    )
  );
}

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
