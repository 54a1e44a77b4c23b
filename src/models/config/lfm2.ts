// What LFM2 and LFM2-MoE share: layers of two kinds, and their names.

import { u32 } from '../../weights/gguf/writer.ts';
import type { JsonObject } from '../../weights/json.ts';
import type { ModelConfig } from '../contract.ts';
import type { GgufFields, GgufWriting } from '../files/files.ts';
import { decoderFields } from '../files/gguf-fields.ts';
import type { GgufKeys } from '../files/gguf-keys.ts';
import type { NameTable } from '../files/names.ts';
import type {
  AttentionConfig,
  ConvolutionConfig,
  DecoderBase,
  DecoderConfig,
  NormConfig,
} from './decoder.ts';
import { type ConfigReader, limits } from './reader.ts';

export const readLfm2Norm = (reader: ConfigReader): NormConfig => ({
  kind: 'rms',
  eps: reader.number('norm_eps', limits.eps, 1e-5),
  bias: false,
});

/** Hub configs say `tie_embedding`, which counts where both are there. */
export const tiedLfm2 = (reader: ConfigReader): boolean =>
  reader.boolean('tie_embedding', reader.boolean('tie_word_embeddings', true));

/** Convolution or attention of each layer, by `layer_types` or `full_attn_idxs`. */
export function readLfm2Layers(reader: ConfigReader, base: DecoderBase): readonly Mixer[] {
  const attention = { ...base.attention, qkNorm: 'head' } as const;
  const convolution = {
    channels: base.hiddenSize,
    taps: reader.int('conv_L_cache', { min: 2, max: 8 }, 3),
    bias: reader.boolean('conv_bias', false),
  };
  const full = reader.ints('full_attn_idxs', { min: 0, max: limits.layers.max });
  const types =
    reader.strings('layer_types', limits.layers.max) ??
    Array.from({ length: base.numLayers }, (_, i) =>
      full === undefined || full.includes(i) ? 'full_attention' : 'conv',
    );
  if (types.length !== base.numLayers)
    reader.fail('layer_types', `has ${types.length} entries for ${base.numLayers} layers`);
  return types.map((type) => {
    if (type === 'full_attention') return { attention };
    if (type === 'conv') return { convolution };
    return reader.unsupported(
      'layer_types',
      `unknown kind of layer "${type}"; supported are full_attention, conv`,
    );
  });
}

type Mixer = { readonly attention: AttentionConfig } | { readonly convolution: ConvolutionConfig };

export const lfm2Names: NameTable = {
  'model.embedding_norm': 'model.norm',
  operator_norm: 'input_layernorm',
  ffn_norm: 'post_attention_layernorm',
  'self_attn.out_proj': 'self_attn.o_proj',
  'self_attn.q_layernorm': 'self_attn.q_norm',
  'self_attn.k_layernorm': 'self_attn.k_norm',
  'feed_forward.w1': 'mlp.gate_proj',
  'feed_forward.w2': 'mlp.down_proj',
  'feed_forward.w3': 'mlp.up_proj',
  'feed_forward.gate_proj': 'mlp.gate_proj',
  'feed_forward.up_proj': 'mlp.up_proj',
  'feed_forward.down_proj': 'mlp.down_proj',
  'feed_forward.gate': 'mlp.gate',
  'feed_forward.expert_bias': 'mlp.gate.correction.bias',
  'feed_forward.experts.gate_up_proj': 'mlp.experts.own_gate_up_proj.weight',
  'feed_forward.experts.down_proj': 'mlp.experts.own_down_proj.weight',
  'feed_forward.experts.*.w1': 'mlp.experts.*.gate_proj',
  'feed_forward.experts.*.w2': 'mlp.experts.*.down_proj',
  'feed_forward.experts.*.w3': 'mlp.experts.*.up_proj',
};

/** MLX has other names where there are experts. */
export const lfm2MoeMlxNames: NameTable = {
  'feed_forward.gate_proj': 'mlp.gate_proj',
  'feed_forward.up_proj': 'mlp.up_proj',
  'feed_forward.down_proj': 'mlp.down_proj',
  'feed_forward.switch_mlp.gate_proj': 'mlp.experts.gate_proj',
  'feed_forward.switch_mlp.up_proj': 'mlp.experts.up_proj',
  'feed_forward.switch_mlp.down_proj': 'mlp.experts.down_proj',
};

/** What both GGUF architectures have. */
export const lfm2Gguf = {
  names: {
    token_embd_norm: 'model.norm',
    'shortconv.conv': 'conv.conv',
    'shortconv.in_proj': 'conv.in_proj',
    'shortconv.out_proj': 'conv.out_proj',
  },
  config: (keys: GgufKeys): JsonObject => ({
    norm_eps: keys.number('attention.layer_norm_rms_epsilon') ?? 1e-5,
    conv_L_cache: keys.required('shortconv.l_cache'),
    conv_bias: keys.has('blk.0.shortconv.in_proj.bias'),
    // Layers without key heads are convolutions.
    layer_types: keys
      .list('attention.head_count_kv')
      ?.map((heads) => (Number(heads) > 0 ? 'full_attention' : 'conv')),
  }),
};

/** Taps of each channel's convolution, which safetensors have a dimension more for. */
export const convolutionShape = (local: string, length: number, { hiddenSize }: ModelConfig) =>
  local === 'conv.conv.weight' ? [hiddenSize, 1, length / hiddenSize] : undefined;

/** What files hold as one. */
export const lfm2Fused = ['conv.in_proj'] as const;

export const lfm2Writing: GgufWriting = {
  fused: lfm2Fused,
  fields: (config: DecoderConfig) => ({ ...decoderFields(config), ...convolutionFields(config) }),
  shapeOf: (local, length, { hiddenSize }) =>
    local === 'conv.conv.weight' ? [hiddenSize, length / hiddenSize] : undefined,
};

/** Layers without key heads are convolutions. */
function convolutionFields({ layers }: DecoderConfig): GgufFields {
  const convolution = layers.flatMap((layer) => ('convolution' in layer ? [layer.convolution] : []))[0];
  const heads = layers.map((layer) => ('attention' in layer ? layer.attention.numKvHeads : 0));
  return {
    'attention.head_count_kv': Uint32Array.from(heads),
    'shortconv.l_cache': u32(convolution?.taps ?? 3),
  };
}
