// GGUF metadata as the Hugging Face config of the same model. Families then parse one dialect.

import { FileFormatError, IngotError } from '../../base/errors.ts';
import type { JsonObject } from '../json.ts';
import type { GgufMetadata } from './metadata.ts';

/** What the config is derived from besides metadata. */
export interface ConfigContext {
  readonly file: string;
  /** Shape of a tensor by its GGUF name. */
  shape(name: string): readonly number[] | undefined;
  /** Values of `rope_freqs.weight` when the file has it: what each rotary frequency is divided by. */
  readonly ropeFactors: Float32Array | undefined;
}

interface Architecture {
  /** Class name and model type; a llama file with a sliding window is a Mistral. */
  readonly className: string;
  readonly modelType: string;
  readonly defaultTheta: number;
}

const architectures: Readonly<Record<string, Architecture>> = {
  llama: { className: 'LlamaForCausalLM', modelType: 'llama', defaultTheta: 10000 },
  mistral: { className: 'MistralForCausalLM', modelType: 'mistral', defaultTheta: 10000 },
  qwen3: { className: 'Qwen3ForCausalLM', modelType: 'qwen3', defaultTheta: 1000000 },
  qwen3moe: { className: 'Qwen3MoeForCausalLM', modelType: 'qwen3_moe', defaultTheta: 1000000 },
};

/** `general.architecture`. Throws FileFormatError when absent, `unsupported` when this build cannot run it. */
export function ggufArchitecture(metadata: GgufMetadata, file: string): string {
  const name = metadata.string('general.architecture');
  if (name === undefined) throw new FileFormatError(file, 'general.architecture', 'is missing');
  if (Object.hasOwn(architectures, name)) return name;
  throw new IngotError(
    'unsupported',
    `${file}: architecture ${JSON.stringify(name.slice(0, 60))} is not supported; known are ${Object.keys(architectures).join(', ')}`,
    { details: { architecture: name } },
  );
}

/** The config of a GGUF file. Throws FileFormatError that names the missing or impossible key. */
export function huggingFaceConfig(metadata: GgufMetadata, context: ConfigContext): JsonObject {
  const arch = ggufArchitecture(metadata, context.file);
  const key = (name: string): string => `${arch}.${name}`;
  const fail = (name: string, problem: string): never => {
    throw new FileFormatError(context.file, name, problem);
  };
  const required = (name: string): number => metadata.integer(key(name), 1) ?? fail(key(name), 'is missing');
  const window = metadata.integer(key('attention.sliding_window')) ?? 0;
  const known = architectures[window > 0 && arch === 'llama' ? 'mistral' : arch] ?? fail(arch, 'is unknown');
  const hidden = required('embedding_length');
  const heads = required('attention.head_count');
  const headDim = metadata.integer(key('attention.key_length'), 1) ?? hidden / heads;
  if (!Number.isInteger(headDim) || headDim % 2 !== 0) {
    fail(
      key('attention.head_count'),
      `gives heads of ${headDim} columns (${hidden} / ${heads}); an even number is needed`,
    );
  }
  const rotary = metadata.integer(key('rope.dimension_count'), 1) ?? headDim;
  const vocabulary = context.shape('token_embd.weight')?.[0] ?? metadata.integer(key('vocab_size'), 1);
  const config: Record<string, unknown> = {
    architectures: [known.className],
    model_type: known.modelType,
    vocab_size: vocabulary ?? fail('token_embd.weight', 'is missing'),
    hidden_size: hidden,
    num_hidden_layers: required('block_count'),
    num_attention_heads: heads,
    num_key_value_heads: metadata.integer(key('attention.head_count_kv'), 1) ?? heads,
    head_dim: headDim,
    max_position_embeddings: required('context_length'),
    rms_norm_eps: metadata.number(key('attention.layer_norm_rms_epsilon')) ?? 1e-6,
    hidden_act: 'silu',
    rope_theta: metadata.number(key('rope.freq_base')) ?? known.defaultTheta,
    rope_scaling: ropeScaling(metadata, arch, context),
    tie_word_embeddings: context.shape('output.weight') === undefined,
    attention_bias: context.shape('blk.0.attn_q.bias') !== undefined,
    mlp_bias: context.shape('blk.0.ffn_up.bias') !== undefined,
    sliding_window: window > 0 ? window : null,
    ...tokens(metadata),
    ...feedForward(metadata, arch, required),
  };
  if (rotary !== headDim) config.partial_rotary_factor = rotary / headDim;
  return config;
}

function tokens(metadata: GgufMetadata): JsonObject {
  const id = (name: string): number | null => metadata.integer(`tokenizer.ggml.${name}_token_id`) ?? null;
  return { bos_token_id: id('bos'), eos_token_id: id('eos') };
}

function feedForward(metadata: GgufMetadata, arch: string, required: (name: string) => number): JsonObject {
  if (arch !== 'qwen3moe') {
    if ((metadata.integer(`${arch}.expert_count`) ?? 0) > 0) {
      throw new IngotError(
        'unsupported',
        `a ${arch} file with experts is not supported; only qwen3moe has them`,
      );
    }
    return { intermediate_size: required('feed_forward_length') };
  }
  const expertWidth = required('expert_feed_forward_length');
  return {
    intermediate_size: metadata.integer(`${arch}.feed_forward_length`, 1) ?? expertWidth,
    moe_intermediate_size: expertWidth,
    num_experts: required('expert_count'),
    num_experts_per_tok: required('expert_used_count'),
    norm_topk_prob: metadata.boolean(`${arch}.expert_weights_norm`) ?? true,
    decoder_sparse_step: 1,
    mlp_only_layers: [],
  };
}

/** `rope_scaling` in the Hugging Face form, or null. */
function ropeScaling(metadata: GgufMetadata, arch: string, context: ConfigContext): JsonObject | null {
  if (context.ropeFactors !== undefined) return factorScaling(context.ropeFactors, metadata, arch);
  const key = (name: string): string => `${arch}.rope.scaling.${name}`;
  const type = metadata.string(key('type')) ?? 'none';
  // Old files have a bare linear factor.
  const factor = metadata.number(key('factor')) ?? metadata.number(`${arch}.rope.scale_linear`) ?? 1;
  if (!(factor > 0))
    throw new FileFormatError(context.file, key('factor'), `must be above 0, found ${factor}`);
  if (type === 'yarn') {
    const original = metadata.integer(key('original_context_length'), 1);
    // The file's number multiplies YaRN's own scale of attention; `attention_factor` of a config replaces it.
    const scale = metadata.number(key('attn_factor'));
    return {
      rope_type: 'yarn',
      factor,
      ...(original === undefined ? {} : { original_max_position_embeddings: original }),
      ...optional('attention_factor', scale === undefined ? undefined : scale * (1 + 0.1 * Math.log(factor))),
      ...optional('beta_fast', metadata.number(key('yarn_beta_fast'))),
      ...optional('beta_slow', metadata.number(key('yarn_beta_slow'))),
    };
  }
  if (type === 'linear' || (type === 'none' && factor !== 1)) return { rope_type: 'linear', factor };
  if (type === 'none') return null;
  throw new IngotError(
    'unsupported',
    `${context.file}: rope scaling ${JSON.stringify(type.slice(0, 40))} is not supported`,
  );
}

const optional = (name: string, value: number | undefined): JsonObject =>
  value === undefined ? {} : { [name]: value };

/**
 * Llama 3 files carry no scaling parameters but the factors that follow from them. They are turned back into `llama3`
 * parameters (only `factor` varies between releases); factors that do not come out the same are kept as they are, under
 * the rope type `factors`.
 */
function factorScaling(factors: Float32Array, metadata: GgufMetadata, arch: string): JsonObject | null {
  if (factors.every((value) => value === 1)) return null;
  const theta = metadata.number(`${arch}.rope.freq_base`) ?? 10000;
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
