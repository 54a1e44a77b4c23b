// Phi 1.5 and 2: one layer norm with bias before attention and feed-forward side by side, biases everywhere, partial rotation.

import { readActivation, readMlp } from '../config/activations.ts';
import { decoderConfig, readBase } from '../config/decoder.ts';
import { limits } from '../config/reader.ts';
import { decoderFamily } from '../family.ts';
import { decoderFields } from '../files/gguf-fields.ts';

export const phi = decoderFamily({
  names: ['PhiForCausalLM', 'phi'],
  read: (reader) => {
    const base = readBase(reader, { contextLength: 2048, partialRotary: 0.5 });
    const attention = {
      ...base.attention,
      qkvBias: true,
      outputBias: true,
      qkNorm: reader.boolean('qk_layernorm', false) ? ('head' as const) : ('none' as const),
    };
    const feedForward = readMlp(reader, {
      activation: readActivation(reader, 'hidden_act', 'gelu_tanh'),
      gated: false,
      bias: true,
    });
    return decoderConfig(reader, base, {
      family: 'phi',
      norm: { kind: 'layer', eps: reader.number('layer_norm_eps', limits.eps, 1e-5), bias: true },
      placement: 'parallel',
      headBias: true,
      layers: Array.from({ length: base.numLayers }, () => ({ attention, feedForward })),
    });
  },
  files: {
    names: {
      'model.final_layernorm': 'model.norm',
      'self_attn.dense': 'self_attn.o_proj',
      'self_attn.q_layernorm': 'self_attn.q_norm',
      'self_attn.k_layernorm': 'self_attn.k_norm',
      'mlp.fc1': 'mlp.up_proj',
      'mlp.fc2': 'mlp.down_proj',
    },
    gguf: [
      {
        architecture: 'phi2',
        className: 'PhiForCausalLM',
        modelType: 'phi',
        written: { fields: decoderFields },
        config: () => ({ hidden_act: 'gelu_new' }),
      },
    ],
  },
});
