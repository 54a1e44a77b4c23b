// GLM-4-MoE (GLM-4.5, 4.6): half of each head rotates, the first layers are dense, experts are chosen by sigmoid scores with a
// correction, and one is shared.

import { readMlp } from '../config/activations.ts';
import { decoderConfig, readBase, readRmsNorm } from '../config/decoder.ts';
import { type MoeConfig, readGroups, readMoe } from '../config/experts.ts';
import { type ConfigReader, limits } from '../config/reader.ts';
import { decoderFamily } from '../family.ts';
import { ggufExperts } from '../files/gguf-config.ts';
import { decoderFields } from '../files/gguf-fields.ts';
import { optional } from '../files/gguf-keys.ts';

export const glm4Moe = decoderFamily({
  names: ['Glm4MoeForCausalLM', 'glm4_moe'],
  read: (reader) => {
    const base = readBase(reader, { contextLength: 131072, partialRotary: 0.5 });
    const attention = {
      ...base.attention,
      qkvBias: reader.boolean('attention_bias', false),
      qkNorm: reader.boolean('use_qk_norm', false) ? ('head' as const) : ('none' as const),
    };
    const dense = reader.int('first_k_dense_replace', { min: 0, max: limits.layers.max }, 1);
    const mlp = dense > 0 ? readMlp(reader) : undefined;
    const experts = dense < base.numLayers ? readExperts(reader) : undefined;
    const feedForwardOf = (i: number) =>
      (i < dense ? mlp : experts) ?? reader.fail('first_k_dense_replace', `leaves layer ${i} without an MLP`);
    return decoderConfig(reader, base, {
      family: 'glm4-moe',
      norm: readRmsNorm(reader, 1e-5),
      layers: Array.from({ length: base.numLayers }, (_, i) => ({
        attention,
        feedForward: feedForwardOf(i),
      })),
    });
  },
  files: {
    names: {
      'mlp.gate.e_score_correction_bias': 'mlp.gate.correction.bias',
      'mlp.shared_experts.gate_proj': 'mlp.shared_expert.gate_proj',
      'mlp.shared_experts.up_proj': 'mlp.shared_expert.up_proj',
      'mlp.shared_experts.down_proj': 'mlp.shared_expert.down_proj',
    },
    gguf: [
      {
        architecture: 'glm4moe',
        className: 'Glm4MoeForCausalLM',
        modelType: 'glm4_moe',
        // Converters name the norm before the MLP as others do the one after attention.
        names: { post_attention_norm: 'post_attention_layernorm' },
        written: { fields: decoderFields },
        config: (keys) => {
          const { num_experts: experts, ...rest } = ggufExperts(keys);
          return {
            ...rest,
            n_routed_experts: experts,
            n_shared_experts: keys.integer('expert_shared_count') ?? 1,
            first_k_dense_replace: keys.integer('leading_dense_block_count') ?? 0,
            use_qk_norm: keys.has('blk.0.attn_q_norm.weight'),
            ...optional('routed_scaling_factor', keys.number('expert_weights_scale')),
            ...optional('n_group', keys.integer('expert_group_count', 1)),
            ...optional('topk_group', keys.integer('expert_group_used_count', 1)),
          };
        },
      },
    ],
  },
});

function readExperts(reader: ConfigReader): MoeConfig {
  const groups = readGroups(reader, 'best-two');
  const router = {
    score: 'sigmoid',
    bias: false,
    correction: true,
    ...(groups === undefined ? {} : { groups }),
    normalised: reader.boolean('norm_topk_prob', true),
    epsilon: 1e-20,
    scale: reader.number('routed_scaling_factor', limits.factor, 1),
  } as const;
  const shared = reader.int('n_shared_experts', { min: 0, max: limits.experts.max }, 1);
  const width = reader.int('moe_intermediate_size', limits.intermediateSize);
  return readMoe(
    reader,
    router,
    { experts: 'n_routed_experts', topK: 'num_experts_per_tok', intermediateSize: 'moe_intermediate_size' },
    shared === 0 ? {} : { shared: { intermediateSize: shared * width, gated: false, bias: false } },
  );
}
