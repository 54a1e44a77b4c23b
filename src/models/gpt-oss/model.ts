// GPT-OSS: sinks in the softmax of attention, every other layer within a window, biased experts with a limited activation.

import type { JsonObject } from '../../weights/json.ts';
import { decoderConfig, readBase, readRmsNorm, windowed } from '../config/decoder.ts';
import { readMoe } from '../config/experts.ts';
import { limits } from '../config/reader.ts';
import { readLayerTypes, readPattern, readWindow, windowsOf } from '../config/windows.ts';
import { decoderFamily } from '../family.ts';
import { ropeScaling } from '../files/gguf-config.ts';
import { decoderFields } from '../files/gguf-fields.ts';
import { optional } from '../files/gguf-keys.ts';

const keys = {
  experts: 'num_local_experts',
  topK: 'num_experts_per_tok',
  intermediateSize: 'intermediate_size',
};
/** Of attention and of the router. */
const router = {
  score: 'softmax-chosen',
  bias: true,
  correction: false,
  normalised: false,
  epsilon: 0,
  scale: 1,
} as const;

/** Of the releases; what a config means that says nothing of it. */
const scaling = {
  kind: 'yarn',
  factor: 32,
  originalContext: 4096,
  betaFast: 32,
  betaSlow: 1,
  truncate: false,
} as const;

/** The range of YaRN is not rounded to whole dimensions; files of GGUF do not say so. */
const unrounded = (scaling: JsonObject | null): JsonObject =>
  scaling === null ? {} : { rope_scaling: { ...scaling, truncate: false } };

export const gptOss = decoderFamily({
  names: ['GptOssForCausalLM', 'gpt_oss'],
  read: (reader) => {
    const base = readBase(reader, { contextLength: 131072, headDim: 64, theta: 150000, scaling });
    const bias = reader.boolean('attention_bias', true);
    const attention = { ...base.attention, qkvBias: bias, outputBias: bias, sinks: true };
    const feedForward = readMoe(reader, router, keys, {
      bias: true,
      gate: {
        alpha: reader.number('swiglu_alpha', limits.factor, 1.702),
        limit: reader.number('swiglu_limit', limits.factor, 7),
        offset: 1,
      },
    });
    const types = readLayerTypes(reader, base.numLayers, readPattern(reader, 2));
    return decoderConfig(reader, base, {
      family: 'gpt-oss',
      norm: readRmsNorm(reader, 1e-5),
      layers: windowsOf(reader, types, readWindow(reader, 128)).map((window) => ({
        attention: windowed(attention, window),
        feedForward,
      })),
    });
  },
  files: {
    names: {
      'mlp.router': 'mlp.gate',
      'mlp.experts.gate_up_proj_bias': 'mlp.experts.gate_up_proj.bias',
      'mlp.experts.down_proj_bias': 'mlp.experts.down_proj.bias',
    },
    mlx: {
      'mlp.experts.gate_proj': 'mlp.experts.gate_proj',
      'mlp.experts.up_proj': 'mlp.experts.up_proj',
      'mlp.experts.down_proj': 'mlp.experts.down_proj',
    },
    fusedExperts: { alternating: true, transposed: true },
    gguf: [
      {
        architecture: 'gpt-oss',
        className: 'GptOssForCausalLM',
        modelType: 'gpt_oss',
        theta: 150000,
        names: { post_attention_norm: 'post_attention_layernorm' },
        written: { fields: decoderFields },
        config: (found) => ({
          ...unrounded(ropeScaling(found)),
          num_local_experts: found.required('expert_count'),
          num_experts_per_tok: found.required('expert_used_count'),
          intermediate_size:
            found.integer('expert_feed_forward_length', 1) ?? found.required('feed_forward_length'),
          ...optional('sliding_window', found.integer('attention.sliding_window', 1)),
        }),
      },
    ],
  },
});
