// The GGUF form of DeepSeek V2 and V3: architecture `deepseek2`.

import type { JsonObject } from '../../weights/json.ts';
import { ggufExperts, ropeScaling } from '../files/gguf-config.ts';
import { type GgufKeys, optional } from '../files/gguf-keys.ts';
import type { NameTable } from '../files/names.ts';

/** `expert_gating_func` of V3; absent or 1 is a softmax. */
export const SIGMOID = 2;

export const ggufNames: NameTable = {
  attn_q_a: 'self_attn.q_a_proj',
  attn_q_a_norm: 'self_attn.q_a_layernorm',
  attn_q_b: 'self_attn.q_b_proj',
  attn_kv_a_mqa: 'self_attn.kv_a_proj_with_mqa',
  attn_kv_a_norm: 'self_attn.kv_a_layernorm',
  attn_kv_b: 'self_attn.kv_b_proj',
  attn_k_b: 'self_attn.k_b_proj',
  attn_v_b: 'self_attn.v_b_proj',
};

/** Fields of config.json that follow from the metadata beside the common ones. */
export function ggufFields(keys: GgufKeys): JsonObject {
  const ropeDim = keys.required('rope.dimension_count');
  const keyDim = keys.integer('attention.key_length_mla', 1) ?? keys.required('attention.key_length');
  const experts = keys.integer('expert_count') ?? 0;
  const { num_experts: routed, ...sizes } = experts > 0 ? ggufExperts(keys) : { num_experts: 0 };
  return {
    ...sizes,
    n_routed_experts: routed,
    n_shared_experts: keys.integer('expert_shared_count') ?? 0,
    first_k_dense_replace: keys.integer('leading_dense_block_count') ?? 0,
    ...optional('routed_scaling_factor', keys.number('expert_weights_scale')),
    ...optional('n_group', keys.integer('expert_group_count', 1)),
    ...optional('topk_group', keys.integer('expert_group_used_count', 1)),
    kv_lora_rank: keys.required('attention.kv_lora_rank'),
    ...optional('q_lora_rank', keys.integer('attention.q_lora_rank', 1)),
    qk_rope_head_dim: ropeDim,
    qk_nope_head_dim: keyDim - ropeDim,
    v_head_dim: keys.integer('attention.value_length_mla', 1) ?? keys.required('attention.value_length'),
    // Told of the rotating columns alone.
    head_dim: ropeDim,
    partial_rotary_factor: 1,
    attention_bias: keys.has('blk.0.attn_kv_a_mqa.bias'),
    rope_scaling: scaling(keys),
  };
}

/** Files have a tenth of `mscale_all_dim`, which releases give `mscale`, too. */
function scaling(keys: GgufKeys): JsonObject | null {
  const read = ropeScaling(keys);
  const multiplier = keys.number('rope.scaling.yarn_log_multiplier');
  if (read === null || multiplier === undefined) return read;
  // Without the digits that an f32 adds to what was written.
  const mscale = Number((10 * multiplier).toPrecision(6));
  return { ...read, mscale, mscale_all_dim: mscale };
}
