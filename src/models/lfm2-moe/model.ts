// LFM2-MoE: LFM2's convolutions and attention, with experts in all layers but the first.

import { readMlp } from '../config/activations.ts';
import { decoderConfig, readBase } from '../config/decoder.ts';
import { readMoe } from '../config/experts.ts';
import {
  convolutionShape,
  lfm2Fused,
  lfm2Gguf,
  lfm2MoeMlxNames,
  lfm2Names,
  lfm2Writing,
  readLfm2Layers,
  readLfm2Norm,
  tiedLfm2,
} from '../config/lfm2.ts';
import { limits } from '../config/reader.ts';
import { decoderFamily } from '../family.ts';
import { ggufExperts } from '../files/gguf-config.ts';
import { optional } from '../files/gguf-keys.ts';

export const lfm2Moe = decoderFamily({
  names: ['Lfm2MoeForCausalLM', 'lfm2_moe'],
  read: (reader) => {
    const base = readBase(reader, { contextLength: 128000, theta: 1000000 });
    const dense = reader.int('num_dense_layers', { min: 0, max: limits.layers.max }, 2);
    const mlp = dense > 0 ? readMlp(reader, { activation: 'silu' }) : undefined;
    const router = {
      score: 'sigmoid',
      bias: false,
      correction: reader.boolean('use_expert_bias', true),
      normalised: reader.boolean('norm_topk_prob', true),
      epsilon: 1e-6,
      scale: reader.number('routed_scaling_factor', limits.factor, 1),
    } as const;
    const experts =
      dense < base.numLayers ? readMoe(reader, router, undefined, { activation: 'silu' }) : undefined;
    return decoderConfig(reader, base, {
      family: 'lfm2-moe',
      norm: readLfm2Norm(reader),
      tied: tiedLfm2(reader),
      layers: readLfm2Layers(reader, base).map((mixer, i) => ({
        ...mixer,
        feedForward:
          (i < dense ? mlp : experts) ?? reader.fail('num_dense_layers', `leaves layer ${i} without an MLP`),
      })),
    });
  },
  files: {
    names: lfm2Names,
    fused: lfm2Fused,
    mlx: lfm2MoeMlxNames,
    shapeOf: convolutionShape,
    gguf: [
      {
        architecture: 'lfm2moe',
        className: 'Lfm2MoeForCausalLM',
        modelType: 'lfm2_moe',
        theta: 1000000,
        ...lfm2Gguf,
        written: lfm2Writing,
        config: (keys) => ({
          ...lfm2Gguf.config(keys),
          ...ggufExperts(keys),
          norm_topk_prob: true,
          num_dense_layers: keys.integer('leading_dense_block_count') ?? 0,
          use_expert_bias: true,
          ...optional('routed_scaling_factor', keys.number('expert_weights_scale')),
        }),
      },
    ],
  },
});
