// What a config means that leaves a field out, or says null: as the classes of transformers read it.

import { expect, it } from 'vitest';
import { ropeFrequencies } from '../../nn/rope.ts';
import type { ModelConfig } from '../contract.ts';
import { parseModel } from '../registry.ts';

const sizes = {
  vocab_size: 100,
  hidden_size: 48,
  intermediate_size: 64,
  num_hidden_layers: 2,
  num_attention_heads: 4,
  head_dim: 12,
  num_experts_per_tok: 2,
  num_local_experts: 16,
  n_routed_experts: 16,
  moe_intermediate_size: 24,
};
const latent = {
  kv_lora_rank: 20,
  qk_nope_head_dim: 12,
  qk_rope_head_dim: 8,
  v_head_dim: 10,
  q_lora_rank: 24,
};

const parse = (model_type: string, fields: object = {}): ModelConfig =>
  parseModel({ ...sizes, ...fields, model_type }, 'config.json').config;

const deepseek3 = { score: 'sigmoid', scale: 2.5, groups: { count: 8, kept: 4, score: 'best-two' } };
it.each([
  ['gemma', {}, { layers: [{ feedForward: { activation: 'gelu_tanh' } }, {}] }],
  ['gemma', { hidden_act: 'gelu' }, { layers: [{ feedForward: { activation: 'gelu_tanh' } }, {}] }],
  ['gemma2', {}, { logitSoftcap: 30, layers: [{ attention: { softcap: 50, window: 4096 } }, {}] }],
  ['mistral', {}, { layers: [{ attention: { window: 4096 } }, {}] }],
  [
    'qwen3',
    { use_sliding_window: true, max_window_layers: 1 },
    { layers: [{}, { attention: { window: 4096 } }] },
  ],
  ['lfm2', { tie_word_embeddings: true, tie_embedding: false }, { tiedEmbeddings: false }],
  [
    'gpt_oss',
    {},
    {
      layers: [
        { attention: { rope: { theta: 150000, scaling: { kind: 'yarn', factor: 32, truncate: false } } } },
        {},
      ],
    },
  ],
  ['deepseek_v2', latent, { feedForward: [{ shared: { intermediateSize: 48 }, router: { scale: 1 } }, {}] }],
  [
    'deepseek_v3',
    { ...latent, first_k_dense_replace: 0 },
    { feedForward: [{ shared: { intermediateSize: 24 }, router: deepseek3 }, {}] },
  ],
  ['deepseek_v3', { ...latent, rope_interleave: false }, { attention: { rope: { rotaryDim: 8 } } }],
])('%s %j', (type, fields, expected) => {
  expect(parse(type, fields)).toMatchObject(expected);
});

it.each([
  ['mistral', { sliding_window: null }, 'window'],
  ['gemma2', { attn_logit_softcapping: null }, 'softcap'],
  // Its code has none, whatever the config says.
  ['gemma3_text', { attn_logit_softcapping: 20 }, 'softcap'],
])('%s %j has no %s', (type, fields, absent) => {
  expect(parse(type, fields)).not.toHaveProperty(`layers.0.attention.${absent}`);
});

it('an odd share of a head that rotates is rounded up to whole pairs', () => {
  const config = parse('glm4', { head_dim: 10, rope_theta: 1000 }) as unknown as {
    layers: { attention: { rope: Parameters<typeof ropeFrequencies>[0] } }[];
  };
  const { rope } = config.layers[0]!.attention;
  expect(rope).toMatchObject({ rotaryDim: 6, exponents: 5 });
  const want = [0, 2, 4].map((i) => Math.fround(1000 ** (-i / 5)));
  expect([...ropeFrequencies(rope, 100).invFreq]).toEqual(want);
});

it.each(['gemma', 'gemma2', 'gemma3_text'])('%s refuses attention to later tokens', (type) => {
  expect(() => parse(type, { use_bidirectional_attention: true })).toThrow(/use_bidirectional_attention/);
});
