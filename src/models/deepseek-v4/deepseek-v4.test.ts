// Configs of DeepSeek V4 that tests/goldens has not: the release's fields, what is refused, names of tensors, memory as promised. Logits
// are in tests/models/families.test.ts.

import { describe, expect, it } from 'vitest';
import { CacheSizes } from '../../cache/sizes.ts';
import { joinName, splitName, translateName } from '../files/names.ts';
import { parseModel } from '../registry.ts';
import type { DeepseekV4Config } from './config.ts';
import { deepseekV4 } from './model.ts';

const layers = 43;
/** The fields of the smaller release. */
const release = {
  architectures: ['DeepseekV4ForCausalLM'],
  model_type: 'deepseek_v4',
  vocab_size: 129280,
  hidden_size: 4096,
  moe_intermediate_size: 2048,
  num_hidden_layers: layers,
  num_attention_heads: 64,
  num_key_value_heads: 1,
  head_dim: 512,
  qk_rope_head_dim: 64,
  q_lora_rank: 1024,
  o_lora_rank: 1024,
  o_groups: 8,
  n_routed_experts: 256,
  n_shared_experts: 1,
  num_experts_per_tok: 6,
  index_topk: 512,
  index_head_dim: 128,
  index_n_heads: 64,
  sliding_window: 128,
  rope_theta: 10000,
  compress_rope_theta: 160000,
  rope_scaling: {
    type: 'yarn',
    factor: 16,
    original_max_position_embeddings: 65536,
    beta_fast: 32,
    beta_slow: 1,
  },
  max_position_embeddings: 1048576,
  // One entry more, for the module that predicts a further token.
  compress_ratios: [0, 0, ...Array.from({ length: layers - 2 }, (_, i) => (i % 2 === 0 ? 4 : 128)), 0],
  num_hash_layers: 3,
};

const parse = (changes: object): DeepseekV4Config =>
  parseModel({ ...release, ...changes }, 'config.json').config as DeepseekV4Config;

describe('the config of a release', () => {
  it('says what each layer is', () => {
    const config = parse({});
    expect(config.layers).toHaveLength(layers);
    expect(config.layers.slice(0, 4).map(({ attention }) => attention.blocks)).toEqual([
      undefined,
      undefined,
      { ratio: 4, overlap: true, indexDim: 128 },
      { ratio: 128, overlap: false },
    ]);
    expect(config.layers.map(({ experts }) => experts.byToken).indexOf(false)).toBe(3);
    const [plain, , compressed] = config.layers.map(({ attention }) => attention.rope);
    expect(plain).toEqual({ rotaryDim: 64, interleaved: true, theta: 10000, scaling: { kind: 'default' } });
    expect(compressed).toMatchObject({
      rotaryDim: 64,
      theta: 160000,
      scaling: { kind: 'yarn', factor: 16, attentionFactor: 1 },
    });
  });

  it.each<[object, RegExp]>([
    [{ compress_rate_csa: 6 }, /compress_rate_csa: blocks of 6 positions are not done/],
    [
      { compress_ratios: [...release.compress_ratios].fill(7) },
      /compress_ratios: holds 7; known are 0, 4 and 128/,
    ],
    [{ compress_ratios: [4] }, /compress_ratios: has 1 entries for 43 layers/],
    [{ layer_types: Array(layers).fill('linear_attention') }, /unknown kind of layer "linear_attention"/],
    [{ mlp_layer_types: Array(layers).fill('dense') }, /mlp_layer_types: unknown kind "dense"/],
    [{ o_groups: 7 }, /o_groups: is 7, must divide the 64/],
    [{ n_shared_experts: 2 }, /n_shared_experts: is 2; one shared expert is done/],
    [{ scoring_func: 'tanh' }, /scoring_func: "tanh" is not done/],
    [{ norm_topk_prob: false }, /norm_topk_prob: weights of experts that do not sum to 1/],
    [{ attention_bias: true }, /attention_bias: biases are not done/],
    [{ qk_rope_head_dim: 63 }, /qk_rope_head_dim: gives 63 rotating columns of 512/],
    [{ index_head_dim: 32 }, /index_head_dim: is 32, must hold the 64 rotating columns/],
    [{ hc_mult: 9 }, /hc_mult: is 9, must be between 1 and 8/],
    [{ rope_parameters: { main: { rope_type: 'yarn' }, compress: {} } }, /scaling of layers without blocks/],
  ])('refuses %j by name', (changes, message) => {
    expect(() => parse(changes)).toThrow(message);
  });
});

it('a sequence of 100,000 tokens takes what its entries take, and the windows', () => {
  const tokens = 100_000;
  const bytes = new CacheSizes(parse({}).memory, 'f16').sequenceBytes({ contextLength: tokens, maxRows: 1 });
  const [sparse, heavy] = [21, 20];
  const entries = 2 * (sparse * (tokens / 4) * (512 + 128) + heavy * (tokens / 128) * 512);
  expect(bytes).toBeGreaterThan(entries);
  expect(bytes).toBeLessThan(1.03 * entries);
  // V3.2 keeps 61 latent rows of 576 columns and keys of 128.
  expect(bytes).toBeLessThan(0.09 * 2 * 61 * (576 + 128) * tokens);
});

it.each([
  ['layers.3.attn.wq_a.weight', 'model.layers.3.self_attn.q_a_proj.weight'],
  ['layers.3.attn.kv_norm.weight', 'model.layers.3.self_attn.kv_norm.weight'],
  ['layers.3.attn.attn_sink', 'model.layers.3.self_attn.sinks.weight'],
  ['layers.3.attn.compressor.ape', 'model.layers.3.self_attn.compressor.position_bias.weight'],
  [
    'layers.3.attn.indexer.compressor.wgate.weight',
    'model.layers.3.self_attn.compressor.indexer.gate_proj.weight',
  ],
  [
    'layers.3.attn.indexer.weights_proj.weight',
    'model.layers.3.self_attn.compressor.indexer.scorer.weights_proj.weight',
  ],
  ['layers.3.ffn.experts.17.w2.weight', 'model.layers.3.mlp.experts.17.down_proj.weight'],
  ['layers.3.ffn.gate.bias', 'model.layers.3.mlp.gate.bias'],
  ['layers.3.ffn.gate.tid2eid', 'model.layers.3.mlp.gate.tid2eid.weight'],
  ['layers.3.hc_ffn_scale', 'model.layers.3.ffn_hc.scale.weight'],
  ['hc_head_fn', 'model.hc_head.fn.weight'],
  ['head.weight', 'lm_head.weight'],
])('%s of a release is %s', (stored, canonical) => {
  const text = stored.replace(/^(?=layers\.)/, 'model.');
  const split = splitName(text, /^model\.layers\.(\d+)\.(.+)$/);
  const name = translateName(split, deepseekV4.files.names ?? {});
  expect(joinName(name ?? split)).toBe(canonical);
});
