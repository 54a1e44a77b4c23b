// The GGUF form of DeepSeek V2 and V3: architecture `deepseek2`.

import { f32 as f32Format } from '../../quant/formats/float.ts';
import { DerivedParts } from '../../weights/derived-source.ts';
import { piecesOf } from '../../weights/export/rows.ts';
import { f32, u32 } from '../../weights/gguf/writer.ts';
import type { JsonObject } from '../../weights/json.ts';
import { type CheckpointTensor, contiguousSlices, type SourceTensor } from '../../weights/tensor.ts';
import type { GgufFields, GgufWriting } from '../files/files.ts';
import { ggufExperts, ropeScaling } from '../files/gguf-config.ts';
import { feedForwardFields, ropeFields, sizeFields } from '../files/gguf-fields.ts';
import { type GgufKeys, optional } from '../files/gguf-keys.ts';
import type { NameTable } from '../files/names.ts';
import type { DeepseekConfig } from './config.ts';

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
    routed_scaling_factor: keys.number('expert_weights_scale') ?? 1,
    n_group: keys.integer('expert_group_count', 1) ?? 1,
    topk_group: keys.integer('expert_group_used_count', 1) ?? 1,
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

/** How files are written: as they are since attention runs on the latent rows, with the matrix for keys turned over. */
export const ggufWriting: GgufWriting = { fields: writtenFields, split: splitLatent };

function writtenFields(config: DeepseekConfig): GgufFields {
  const { attention, norm, feedForward } = config;
  const { rank, rope, plainDim, valueDim, queryRank } = attention;
  const rotating = rope.rotaryDim;
  const { 'rope.scaling.attn_factor': _, ...rotation } = ropeFields(rope);
  return {
    ...sizeFields(config),
    ...feedForwardFields({ layers: feedForward.map((each) => ({ feedForward: each })) }),
    'attention.head_count': u32(attention.numHeads),
    'attention.head_count_kv': u32(1),
    'attention.layer_norm_rms_epsilon': f32(norm.eps),
    ...(queryRank === undefined ? {} : { 'attention.q_lora_rank': u32(queryRank) }),
    'attention.kv_lora_rank': u32(rank),
    'attention.key_length': u32(rank + rotating),
    'attention.value_length': u32(rank),
    'attention.key_length_mla': u32(plainDim + rotating),
    'attention.value_length_mla': u32(valueDim),
    'rope.dimension_count': u32(rotating),
    ...rotation,
    ...(rope.scaling.kind === 'yarn'
      ? { 'rope.scaling.yarn_log_multiplier': f32(0.1 * (rope.scaling.mscaleAllDim ?? 0)) }
      : {}),
  };
}

/** The matrix from latent rows to keys and values as two: `[heads, rank, plain]` and `[heads, value, rank]`. */
function splitLatent(
  tensor: CheckpointTensor,
  { attention: { numHeads, plainDim, valueDim, rank } }: DeepseekConfig,
): readonly CheckpointTensor[] | undefined {
  if (!tensor.name.endsWith('self_attn.kv_b_proj.weight')) return undefined;
  const bytes = 4 * numHeads * rank;
  const parts = new DerivedParts(tensor.name, [bytes * plainDim, bytes * valueDim], async () => {
    const keys = new Float32Array(numHeads * rank * plainDim);
    const values = new Float32Array(numHeads * valueDim * rank);
    for await (const piece of piecesOf({ parts: [{ tensor }] })) {
      for (let i = 0; i < piece.rows; i++) {
        const head = Math.floor((piece.first + i) / (plainDim + valueDim));
        const row = (piece.first + i) % (plainDim + valueDim);
        const found = piece.values.subarray(i * rank, (i + 1) * rank);
        if (row >= plainDim) values.set(found, (head * valueDim + row - plainDim) * rank);
        else for (const [k, value] of found.entries()) keys[(head * rank + k) * plainDim + row] = value;
      }
    }
    return [new Uint8Array(keys.buffer), new Uint8Array(values.buffer)];
  });
  const part = (index: number, letter: string, rows: number, columns: number): SourceTensor => ({
    kind: 'source',
    name: tensor.name.replace('kv_b', `${letter}_b`),
    shape: [numHeads, rows, columns],
    format: f32Format,
    slices: contiguousSlices(
      f32Format,
      [numHeads, rows, columns],
      [{ source: parts.source(index), offset: 0 }],
    ),
  });
  return [part(0, 'k', rank, plainDim), part(1, 'v', valueDim, rank)];
}
