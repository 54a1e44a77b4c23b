// GGUF metadata as the Hugging Face config of the same model. Families then parse one dialect.

import { IngotError } from '../../base/errors.ts';
import type { JsonObject } from '../../weights/json.ts';
import type { GgufForm } from './files.ts';
import { type GgufKeys, optional } from './gguf-keys.ts';

/** The config of a GGUF file. Throws FileFormatError that names the missing or impossible key. */
export function ggufConfig(keys: GgufKeys, form: GgufForm): JsonObject {
  const hidden = keys.required('embedding_length');
  const heads = keys.required('attention.head_count');
  const headDim = keys.integer('attention.key_length', 1) ?? hidden / heads;
  if (!Number.isInteger(headDim) || headDim % 2 !== 0) {
    keys.fail(
      keys.key('attention.head_count'),
      `gives heads of ${headDim} columns (${hidden} / ${heads}); an even number is needed`,
    );
  }
  const rotary = keys.integer('rope.dimension_count', 1);
  const vocabulary = keys.tensors.shape('token_embd.weight')?.[0] ?? keys.integer('vocab_size', 1);
  const rms = keys.number('attention.layer_norm_rms_epsilon') ?? 1e-6;
  return {
    architectures: [form.className],
    model_type: form.modelType,
    vocab_size: vocabulary ?? keys.fail('token_embd.weight', 'is missing'),
    hidden_size: hidden,
    ...optional('intermediate_size', keys.integer('feed_forward_length', 1)),
    // The last blocks may be heads that predict further tokens.
    num_hidden_layers: keys.required('block_count') - (keys.integer('nextn_predict_layers') ?? 0),
    num_attention_heads: heads,
    num_key_value_heads: keyHeads(keys) ?? heads,
    head_dim: headDim,
    max_position_embeddings: keys.required('context_length'),
    rms_norm_eps: rms,
    layer_norm_eps: keys.number('attention.layer_norm_epsilon') ?? rms,
    rope_theta: keys.number('rope.freq_base') ?? form.theta ?? 10000,
    rope_scaling: ropeScaling(keys),
    tie_word_embeddings: !keys.has('output.weight'),
    attention_bias: keys.has('blk.0.attn_q.bias'),
    mlp_bias: keys.has('blk.0.ffn_up.bias'),
    ...tokens(keys),
    ...optional('partial_rotary_factor', rotary === undefined ? undefined : shareOf(rotary, headDim)),
    ...form.config?.(keys),
  };
}

/** What gives `part` as the whole part of its product with `whole`: the quotient may be rounded down. */
const shareOf = (part: number, whole: number): number =>
  Math.trunc(whole * (part / whole)) === part ? part / whole : (part + 0.5) / whole;

/** One number for all layers, or one for each, 0 for those without attention: the others must agree. */
function keyHeads(keys: GgufKeys): number | undefined {
  const list = keys.list('attention.head_count_kv');
  if (list === undefined) return keys.integer('attention.head_count_kv', 1);
  const different = new Set(list.map(Number).filter((heads) => heads > 0));
  if (different.size > 1)
    keys.fail(keys.key('attention.head_count_kv'), `differs by layer: ${[...different].join(', ')}`);
  return [...different][0];
}

function tokens({ metadata }: GgufKeys): JsonObject {
  const id = (name: string): number | null => metadata.integer(`tokenizer.ggml.${name}_token_id`) ?? null;
  return { bos_token_id: id('bos'), eos_token_id: id('eos') };
}

/** The fields of a mixture of experts that most families share. */
export function ggufExperts(keys: GgufKeys): JsonObject {
  const expertWidth = keys.integer('expert_feed_forward_length', 1) ?? keys.required('feed_forward_length');
  return {
    intermediate_size: keys.integer('feed_forward_length', 1) ?? expertWidth,
    moe_intermediate_size: expertWidth,
    num_experts: keys.required('expert_count'),
    num_experts_per_tok: keys.required('expert_used_count'),
    ...optional('norm_topk_prob', keys.boolean('expert_weights_norm')),
  };
}

/** `rope_scaling` in the Hugging Face form, or null. */
export function ropeScaling(keys: GgufKeys): JsonObject | null {
  const factors = keys.tensors.factors('rope_freqs');
  if (factors !== undefined) return factorScaling(factors, keys);
  const type = keys.string('rope.scaling.type') ?? 'none';
  // Old files have a bare linear factor.
  const factor = keys.number('rope.scaling.factor') ?? keys.number('rope.scale_linear') ?? 1;
  if (!(factor > 0)) keys.fail(keys.key('rope.scaling.factor'), `must be above 0, found ${factor}`);
  if (type === 'longrope' || keys.tensors.factors('rope_factors_long') !== undefined) return longrope(keys);
  if (type === 'yarn') {
    // The file's number multiplies YaRN's own scale of attention; `attention_factor` of a config replaces it.
    const scale = keys.number('rope.scaling.attn_factor');
    return {
      rope_type: 'yarn',
      factor,
      ...optional(
        'original_max_position_embeddings',
        keys.integer('rope.scaling.original_context_length', 1),
      ),
      ...optional('attention_factor', scale === undefined ? undefined : scale * (1 + 0.1 * Math.log(factor))),
      ...optional('beta_fast', keys.number('rope.scaling.yarn_beta_fast')),
      ...optional('beta_slow', keys.number('rope.scaling.yarn_beta_slow')),
    };
  }
  if (type === 'linear' || (type === 'none' && factor !== 1)) return { rope_type: 'linear', factor };
  if (type === 'none') return null;
  throw new IngotError(
    'unsupported',
    `${keys.file}: rope scaling ${JSON.stringify(type.slice(0, 40))} is not supported`,
  );
}

function longrope(keys: GgufKeys): JsonObject {
  const [short, long] = (['rope_factors_short', 'rope_factors_long'] as const).map(
    (name) => keys.tensors.factors(name) ?? keys.fail(`${name}.weight`, 'is missing'),
  );
  return {
    rope_type: 'longrope',
    short_factor: [...(short ?? [])],
    long_factor: [...(long ?? [])],
    ...optional('original_max_position_embeddings', keys.integer('rope.scaling.original_context_length', 1)),
    ...optional('attention_factor', keys.number('rope.scaling.attn_factor')),
  };
}

/**
 * Llama 3 files carry no scaling parameters but the factors that follow from them. They are turned back into `llama3`
 * parameters (only `factor` varies between releases); factors that do not come out the same are kept as they are, under
 * the rope type `factors`.
 */
function factorScaling(factors: Float32Array, keys: GgufKeys): JsonObject | null {
  if (factors.every((value) => value === 1)) return null;
  const theta = keys.number('rope.freq_base') ?? 10000;
  const llama3 = {
    rope_type: 'llama3',
    factor: Math.max(...factors),
    low_freq_factor: 1,
    high_freq_factor: 4,
    original_max_position_embeddings: 8192,
  };
  const expected = llama3Factors(factors.length, theta, llama3);
  const same = factors.every((value, i) => Math.abs(value / (expected[i] as number) - 1) < 1e-4);
  return same ? llama3 : { rope_type: 'factors', factors: [...factors] };
}

interface Llama3Scaling {
  readonly factor: number;
  readonly low_freq_factor: number;
  readonly high_freq_factor: number;
  readonly original_max_position_embeddings: number;
}

/** What `llama3` scaling divides each of `pairs` rotary frequencies by. */
export function llama3Factors(pairs: number, theta: number, scaling: Llama3Scaling): number[] {
  const { factor, low_freq_factor: low, high_freq_factor: high } = scaling;
  return Array.from({ length: pairs }, (_, i) => {
    const wavelength = 2 * Math.PI * theta ** (i / pairs);
    const turns = scaling.original_max_position_embeddings / wavelength;
    if (turns > high) return 1;
    if (turns < low) return factor;
    const smooth = (turns - low) / (high - low);
    return 1 / ((1 - smooth) / factor + smooth);
  });
}
