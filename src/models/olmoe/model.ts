// OLMoE: pre-norm layers with experts, norms over all query and key heads at once, projections clipped where the config says.

import { f32 } from '../../weights/gguf/writer.ts';
import { type DecoderConfig, decoderConfig, readBase, readRmsNorm } from '../config/decoder.ts';
import { plainRouter, readMoe } from '../config/experts.ts';
import { decoderFamily } from '../family.ts';
import type { GgufFields } from '../files/files.ts';
import { ggufExperts } from '../files/gguf-config.ts';
import { decoderFields } from '../files/gguf-fields.ts';
import { optional } from '../files/gguf-keys.ts';

const keys = { experts: 'num_experts', topK: 'num_experts_per_tok', intermediateSize: 'intermediate_size' };

const clipField = ({ layers: [layer] }: DecoderConfig): GgufFields =>
  layer !== undefined && 'attention' in layer && layer.attention.clip !== undefined
    ? { 'attention.clamp_kqv': f32(layer.attention.clip) }
    : {};

export const olmoe = decoderFamily({
  names: ['OlmoeForCausalLM', 'olmoe'],
  read: (reader) => {
    const base = readBase(reader, { contextLength: 4096 });
    const bias = reader.boolean('attention_bias', false);
    const clip = reader.optionalNumber('clip_qkv', { min: 1e-6, max: 1e6 });
    const attention = {
      ...base.attention,
      qkvBias: bias,
      outputBias: bias,
      qkNorm: 'whole' as const,
      ...(clip === undefined ? {} : { clip }),
    };
    const router = { ...plainRouter, normalised: reader.boolean('norm_topk_prob', false) };
    const feedForward = readMoe(reader, router, keys);
    return decoderConfig(reader, base, {
      family: 'olmoe',
      norm: readRmsNorm(reader, 1e-5),
      layers: Array.from({ length: base.numLayers }, () => ({ attention, feedForward })),
    });
  },
  files: {
    gguf: [
      {
        architecture: 'olmoe',
        className: 'OlmoeForCausalLM',
        modelType: 'olmoe',
        written: { fields: (config: DecoderConfig) => ({ ...decoderFields(config), ...clipField(config) }) },
        config: (found) => {
          const { moe_intermediate_size: width, ...experts } = ggufExperts(found);
          return {
            ...experts,
            intermediate_size: width,
            ...optional('clip_qkv', found.number('attention.clamp_kqv') || undefined),
          };
        },
      },
    ],
  },
});
