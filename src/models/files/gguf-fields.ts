// A decoder's config as the metadata of a GGUF file: what ggufConfig of gguf-config.ts reads.

import { type RopeConfig, ropeFrequencies } from '../../nn/rope.ts';
import { f32, u32, type WritableValue } from '../../weights/gguf/writer.ts';
import type { AttentionConfig, DecoderConfig, LayerConfig } from '../config/decoder.ts';
import type { MoeConfig } from '../config/experts.ts';
import type { GgufFields } from './files.ts';

/** `expert_gating_func` of llama.cpp. */
export const SOFTMAX = 1;
export const SIGMOID = 2;

/** The fields that all architectures share. */
export function decoderFields(config: DecoderConfig): GgufFields {
  const { layers, norm } = config;
  const attentions = layers.flatMap((layer) => ('attention' in layer ? [layer.attention] : []));
  const [attention] = attentions;
  const windows = attentions.flatMap(({ window }) => (window === undefined ? [] : [window]));
  const eps = norm.kind === 'rms' ? 'layer_norm_rms_epsilon' : 'layer_norm_epsilon';
  return {
    ...sizeFields(config),
    ...feedForwardFields(config),
    ...(attention === undefined ? {} : headFields(attention)),
    [`attention.${eps}`]: f32(norm.eps),
    ...(windows[0] === undefined ? {} : { 'attention.sliding_window': u32(windows[0]) }),
    ...ropeFields(mainRope(attentions)),
  };
}

export const sizeFields = ({
  numLayers,
  contextLength,
  hiddenSize,
  vocabSize,
}: Pick<DecoderConfig, 'numLayers' | 'contextLength' | 'hiddenSize' | 'vocabSize'>): GgufFields => ({
  block_count: u32(numLayers),
  context_length: u32(contextLength),
  embedding_length: u32(hiddenSize),
  vocab_size: u32(vocabSize),
});

const headFields = ({ numHeads, numKvHeads, headDim, rope }: AttentionConfig): GgufFields => ({
  'attention.head_count': u32(numHeads),
  'attention.head_count_kv': u32(numKvHeads),
  'attention.key_length': u32(headDim),
  'attention.value_length': u32(headDim),
  'rope.dimension_count': u32(rope?.exponents ?? rope?.rotaryDim ?? headDim),
});

/** The rotation of layers that see everything, which is the one that scaling is for. */
function mainRope(attentions: readonly AttentionConfig[]): RopeConfig | undefined {
  const rotating = attentions.filter(({ rope }) => rope !== undefined);
  return (rotating.find(({ window }) => window === undefined) ?? rotating[0])?.rope;
}

/** The same with the caps of Gemma's scores and logits. */
export function capFields(config: DecoderConfig): GgufFields {
  const attention = config.layers.flatMap((layer) => ('attention' in layer ? [layer.attention] : []))[0];
  return {
    ...decoderFields(config),
    ...(attention?.softcap === undefined ? {} : { attn_logit_softcapping: f32(attention.softcap) }),
    ...(config.logitSoftcap === undefined ? {} : { final_logit_softcapping: f32(config.logitSoftcap) }),
  };
}

/** The rotation of layers within a window. */
export const windowRope = ({ layers }: DecoderConfig): RopeConfig | undefined =>
  layers.flatMap((layer) =>
    'attention' in layer && layer.attention.window ? [layer.attention.rope] : [],
  )[0];

/** Widths of MLPs and the numbers of experts. */
export function feedForwardFields({
  layers,
}: {
  readonly layers: readonly Pick<LayerConfig, 'feedForward'>[];
}): GgufFields {
  const kinds = layers.map(({ feedForward }) => feedForward);
  const dense = kinds.find(({ kind }) => kind === 'dense');
  const moe = kinds.find((each): each is MoeConfig => each.kind === 'moe');
  const width = dense?.intermediateSize ?? moe?.intermediateSize ?? 0;
  const first = kinds.findIndex(({ kind }) => kind === 'moe');
  return {
    feed_forward_length: u32(width),
    ...(moe === undefined ? {} : expertFields(moe)),
    ...(first > 0 ? { leading_dense_block_count: u32(first) } : {}),
  };
}

function expertFields({ numExperts, topK, intermediateSize, router, shared }: MoeConfig): GgufFields {
  return {
    expert_count: u32(numExperts),
    expert_used_count: u32(topK),
    expert_feed_forward_length: u32(intermediateSize),
    ...(router.score === 'softmax-chosen' ? {} : { expert_weights_norm: router.normalised }),
    ...(router.score === 'sigmoid' ? { expert_gating_func: u32(SIGMOID) } : {}),
    ...(router.scale === 1 ? {} : { expert_weights_scale: f32(router.scale) }),
    ...(router.groups === undefined
      ? {}
      : { expert_group_count: u32(router.groups.count), expert_group_used_count: u32(router.groups.kept) }),
    ...(shared === undefined
      ? {}
      : {
          expert_shared_count: u32(Math.max(1, Math.round(shared.intermediateSize / intermediateSize))),
          expert_shared_feed_forward_length: u32(shared.intermediateSize),
        }),
  };
}

/** Base and scaling; factors of single frequencies are tensors (`rotaryTensors`). */
export function ropeFields(rope: RopeConfig | undefined): GgufFields {
  if (rope === undefined) return {};
  const { theta, scaling } = rope;
  const fields: Record<string, WritableValue> = { 'rope.freq_base': f32(theta) };
  switch (scaling.kind) {
    case 'linear':
      return { ...fields, 'rope.scaling.type': 'linear', 'rope.scaling.factor': f32(scaling.factor) };
    case 'longrope':
      return {
        ...fields,
        'rope.scaling.original_context_length': u32(scaling.originalContext),
        'rope.scaling.attn_factor': f32(scaling.attentionFactor),
      };
    case 'yarn': {
      // The file's number multiplies YaRN's own factor, which follows from that of the frequencies.
      const own = scaling.factor > 1 ? 1 + 0.1 * Math.log(scaling.factor) : 1;
      const share = ropeFrequencies(rope, scaling.originalContext).attentionFactor / own;
      return {
        ...fields,
        'rope.scaling.type': 'yarn',
        'rope.scaling.factor': f32(scaling.factor),
        'rope.scaling.original_context_length': u32(scaling.originalContext),
        'rope.scaling.yarn_beta_fast': f32(scaling.betaFast),
        'rope.scaling.yarn_beta_slow': f32(scaling.betaSlow),
        ...(Math.abs(share - 1) < 1e-6 ? {} : { 'rope.scaling.attn_factor': f32(share) }),
      };
    }
    // What a file cannot say, such as scaling that depends on the length, shows when it is read.
    default:
      return fields;
  }
}

/** What frequencies are divided by, as the tensors that a file has for it. */
export function rotaryTensors(config: DecoderConfig): ReadonlyMap<string, Float32Array> {
  // DeepSeek's config has no layers of this kind, and no such scaling.
  const rope = mainRope(
    (config.layers ?? []).flatMap((layer) => ('attention' in layer ? [layer.attention] : [])),
  );
  const scaling = rope?.scaling;
  const tensors = new Map<string, Float32Array>();
  if (rope === undefined || scaling === undefined) return tensors;
  if (scaling.kind === 'longrope') {
    tensors.set('rope_factors_long.weight', Float32Array.from(scaling.longFactors));
    tensors.set('rope_factors_short.weight', Float32Array.from(scaling.shortFactors));
  }
  if (scaling.kind === 'factors') tensors.set('rope_freqs.weight', Float32Array.from(scaling.factors));
  if (scaling.kind === 'llama3') {
    const { theta, rotaryDim, exponents = rotaryDim } = rope;
    const { invFreq } = ropeFrequencies(rope, config.contextLength);
    const factors = invFreq.map((frequency, i) => theta ** (-(2 * i) / exponents) / frequency);
    tensors.set('rope_freqs.weight', factors);
  }
  return tensors;
}
