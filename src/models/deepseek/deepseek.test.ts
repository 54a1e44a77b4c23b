// Configs of DeepSeek V2 and V3 that tests/goldens has not: fields that are refused, older and other files' forms. Logits are
// in tests/models/families.test.ts.

import { describe, expect, it } from 'vitest';
import { joinName, splitName, translateName } from '../files/names.ts';
import { parseModel } from '../registry.ts';
import type { DeepseekConfig } from './config.ts';
import { deepseek } from './model.ts';

const v3 = {
  architectures: ['DeepseekV3ForCausalLM'],
  model_type: 'deepseek_v3',
  vocab_size: 100,
  hidden_size: 64,
  intermediate_size: 96,
  moe_intermediate_size: 32,
  num_hidden_layers: 5,
  num_attention_heads: 4,
  kv_lora_rank: 48,
  q_lora_rank: null,
  qk_nope_head_dim: 16,
  qk_rope_head_dim: 8,
  v_head_dim: 12,
  n_routed_experts: 16,
  n_shared_experts: 2,
  num_experts_per_tok: 4,
  n_group: 4,
  topk_group: 2,
  routed_scaling_factor: 2.5,
  rope_scaling: {
    type: 'yarn',
    factor: 40,
    mscale: 1,
    mscale_all_dim: 1,
    original_max_position_embeddings: 4096,
  },
  max_position_embeddings: 163840,
};

const parse = (changes: object): DeepseekConfig =>
  parseModel({ ...v3, ...changes }, 'c.json').config as DeepseekConfig;

describe('config', () => {
  it('keeps one row for all heads of each layer, and sharpens scores by mscale_all_dim', () => {
    const config = parse({});
    expect(config.memory).toEqual(Array(5).fill({ kind: 'latent', rank: 48, ropeDim: 8 }));
    expect(config.attention.scale).toBeCloseTo(24 ** -0.5 * (0.1 * Math.log(40) + 1) ** 2, 12);
    expect(parse({ rope_scaling: null }).attention.scale).toBeCloseTo(24 ** -0.5, 12);
    expect(config.feedForward.map(({ kind }) => kind)).toEqual(['dense', 'dense', 'dense', 'moe', 'moe']);
    expect(config.feedForward[4]).toMatchObject({
      shared: { intermediateSize: 64 },
      router: { score: 'sigmoid', correction: true, normalised: true, groups: { count: 4, kept: 2 } },
    });
  });

  it('of V2 has probabilities that are not made to sum to 1, whatever it says', () => {
    const config = parse({
      architectures: ['DeepseekV2ForCausalLM'],
      norm_topk_prob: true,
      topk_method: 'greedy',
    });
    expect(config.family).toBe('deepseek2');
    const moe = config.feedForward[4];
    expect(moe).toMatchObject({
      kind: 'moe',
      router: { score: 'softmax', correction: false, normalised: false },
    });
    expect(moe?.kind === 'moe' && moe.router.groups).toBe(undefined);
  });

  const refused: readonly [changes: object, message: RegExp][] = [
    [{ topk_method: 'greedy' }, /topk_method: "greedy" is not done .* supported are noaux_tc/],
    [{ scoring_func: 'softmax' }, /scoring_func: "softmax" is not done .* supported are sigmoid/],
    [{ moe_layer_freq: 2 }, /moe_layer_freq: experts in only some/],
    [{ num_experts_per_tok: 17 }, /num_experts_per_tok: is 17, but there are 16 experts/],
    [{ num_key_value_heads: 3 }, /num_key_value_heads: is 3, must divide the 4 of num_attention_heads/],
    [{ n_group: 3 }, /n_group: is 3, must divide the 16 experts evenly/],
    [{ topk_group: 0 }, /topk_group/],
    [{ kv_lora_rank: -1 }, /kv_lora_rank/],
    [{ qk_rope_head_dim: 7 }, /qk_rope_head_dim: is 7, must be even/],
    [{ v_head_dim: undefined }, /v_head_dim: is missing/],
  ];
  it.each(refused)('refuses %j', (changes, message) => {
    expect(() => parse(changes)).toThrow(message);
  });
});

describe('files', () => {
  it('of MLX have the matrices between rows and heads apart', () => {
    const canonical = (module: string): string | undefined => {
      const name = `model.layers.3.self_attn.${module}.weight`;
      const found = translateName(splitName(name, /^model\.layers\.(\d+)\.(.*)$/), deepseek.files.mlx ?? {});
      return found && joinName(found);
    };
    expect(canonical('embed_q')).toBe('model.layers.3.self_attn.k_b_proj.weight');
    expect(canonical('unembed_out')).toBe('model.layers.3.self_attn.v_b_proj.weight');
  });
});
