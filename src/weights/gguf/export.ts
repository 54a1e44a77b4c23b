// A model's config as GGUF metadata, for the architectures whose tensors have the same rows and names in both kinds of files (but for
// the order of rotary rows).

import { IngotError } from '../../base/errors.ts';
import { isJsonObject, type JsonObject } from '../json.ts';
import type { GgufMetadata } from './metadata.ts';
import type { NumericType, ValueType } from './types.ts';
import { f32, u32, type WritableValue } from './writer.ts';

/** Metadata of a model of the architecture `arch`, without its tokenizer. */
export function ggufModelMetadata(
  config: JsonObject,
  path: string,
  name: string,
  arch: string,
): Record<string, WritableValue> {
  const number = (key: string): number | undefined => {
    const value = config[key];
    return typeof value === 'number' ? value : undefined;
  };
  const required = (key: string): number => {
    const value = number(key);
    if (value !== undefined) return value;
    throw new IngotError('bad_file', `${path}: config.json has no ${key}, which GGUF needs`);
  };
  const heads = required('num_attention_heads');
  const headDim = number('head_dim') ?? required('hidden_size') / heads;
  const window = number('sliding_window');
  const metadata: Record<string, WritableValue> = {
    'general.architecture': arch,
    'general.name': name,
    [`${arch}.block_count`]: u32(required('num_hidden_layers')),
    [`${arch}.context_length`]: u32(required('max_position_embeddings')),
    [`${arch}.embedding_length`]: u32(required('hidden_size')),
    [`${arch}.feed_forward_length`]: u32(number('intermediate_size') ?? required('moe_intermediate_size')),
    [`${arch}.attention.head_count`]: u32(heads),
    [`${arch}.attention.head_count_kv`]: u32(number('num_key_value_heads') ?? heads),
    [`${arch}.attention.key_length`]: u32(headDim),
    [`${arch}.attention.value_length`]: u32(headDim),
    [`${arch}.attention.layer_norm_rms_epsilon`]: f32(number('rms_norm_eps') ?? 1e-6),
    [`${arch}.rope.dimension_count`]: u32(Math.round(headDim * (number('partial_rotary_factor') ?? 1))),
    [`${arch}.vocab_size`]: u32(required('vocab_size')),
  };
  if (window !== undefined && config.use_sliding_window !== false)
    metadata[`${arch}.attention.sliding_window`] = u32(window);
  const experts = number('num_experts') ?? number('num_local_experts');
  if (experts !== undefined) {
    metadata[`${arch}.expert_count`] = u32(experts);
    metadata[`${arch}.expert_used_count`] = u32(required('num_experts_per_tok'));
    metadata[`${arch}.expert_feed_forward_length`] = u32(required('moe_intermediate_size'));
    metadata[`${arch}.expert_weights_norm`] = config.norm_topk_prob !== false;
  }
  return { ...metadata, ...ropeMetadata(config, arch, path) };
}

/** Base and scaling of the rotary positions. Throws unsupported for scalings that GGUF describes by other means. */
function ropeMetadata(config: JsonObject, arch: string, path: string): Record<string, WritableValue> {
  const rope = isJsonObject(config.rope_parameters) ? config.rope_parameters : config.rope_scaling;
  const parameters = isJsonObject(rope) ? rope : {};
  const theta = config.rope_theta ?? parameters.rope_theta;
  const metadata: Record<string, WritableValue> = {};
  if (typeof theta === 'number') metadata[`${arch}.rope.freq_base`] = f32(theta);
  const type = String(parameters.rope_type ?? parameters.type ?? 'default');
  if (type === 'default') return metadata;
  const names: Readonly<Record<string, string>> = {
    factor: 'factor',
    attention_factor: 'attn_factor',
    beta_fast: 'yarn_beta_fast',
    beta_slow: 'yarn_beta_slow',
  };
  if (type !== 'linear' && type !== 'yarn') {
    throw new IngotError(
      'unsupported',
      `${path}: rope scaling ${JSON.stringify(type)} cannot be written as GGUF; use MLX or safetensors`,
    );
  }
  metadata[`${arch}.rope.scaling.type`] = type;
  for (const [key, gguf] of Object.entries(names)) {
    const value = parameters[key];
    if (typeof value === 'number') metadata[`${arch}.rope.scaling.${gguf}`] = f32(value);
  }
  const original = parameters.original_max_position_embeddings;
  if (typeof original === 'number') metadata[`${arch}.rope.scaling.original_context_length`] = u32(original);
  return metadata;
}

const isNumeric = (type: ValueType): type is NumericType =>
  type !== 'string' && type !== 'array' && type !== 'bool';

/** Metadata of an open file as a writer takes it, without what describes its split. */
export function copiedMetadata(metadata: GgufMetadata): Record<string, WritableValue> {
  const copied: Record<string, WritableValue> = {};
  for (const key of metadata.keys()) {
    const value = metadata.get(key);
    if (value === undefined || /^split\./.test(key) || key === 'general.file_type') continue;
    const type = metadata.typeOf(key);
    if (type !== undefined && isNumeric(type)) copied[key] = { type, value: value as number | bigint };
    else copied[key] = value as WritableValue;
  }
  return copied;
}
