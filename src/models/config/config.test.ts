import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { IngotError } from '../../base/errors.ts';
import { attentionSpec } from '../../nn/contracts.ts';
import { llama as llamaFamily } from '../llama/model.ts';
import { mistral } from '../mistral/model.ts';
import { qwen3 } from '../qwen3/model.ts';
import { qwen3Moe } from '../qwen3-moe/model.ts';
import { families, parseModel } from '../registry.ts';
import type { AttentionConfig, DecoderConfig, LayerConfig } from './decoder.ts';

const { parse: parseLlama } = llamaFamily;
const { parse: parseQwen3 } = qwen3;
const { parse: parseQwen3Moe } = qwen3Moe;
const attentionOf = ({ layers: [layer] }: DecoderConfig): AttentionConfig =>
  layer && 'attention' in layer ? layer.attention : expect.fail('no attention');

const llama = {
  architectures: ['LlamaForCausalLM'],
  model_type: 'llama',
  vocab_size: 32000,
  hidden_size: 4096,
  intermediate_size: 11008,
  num_hidden_layers: 2,
  num_attention_heads: 32,
  rms_norm_eps: 1e-5,
};
const moe = {
  ...llama,
  model_type: 'qwen3_moe',
  num_hidden_layers: 6,
  num_experts: 8,
  num_experts_per_tok: 2,
  moe_intermediate_size: 768,
};

describe('llama config', () => {
  it('fills what Llama 2 leaves out', () => {
    const config = parseLlama(llama, 'config.json');
    expect(config).toMatchObject({
      contextLength: 2048,
      eosTokenIds: [],
      tiedEmbeddings: false,
    });
    expect(attentionOf(config)).toMatchObject({
      numHeads: 32,
      numKvHeads: 32,
      headDim: 128,
      qkvBias: false,
      outputBias: false,
      qkNorm: 'none',
    });
    expect(attentionOf(config).rope).toEqual({ theta: 10000, rotaryDim: 128, scaling: { kind: 'default' } });
    expect(config.memory).toEqual(Array(2).fill(attentionSpec({ numKvHeads: 32, headDim: 128 })));
  });

  it('reads one or several end tokens', () => {
    expect(parseLlama({ ...llama, eos_token_id: 2 }, 'c').eosTokenIds).toEqual([2]);
    expect(parseLlama({ ...llama, eos_token_id: [128001, 128009] }, 'c').eosTokenIds).toEqual([
      128001, 128009,
    ]);
    expect(parseLlama({ ...llama, eos_token_id: null }, 'c').eosTokenIds).toEqual([]);
  });

  it('has a window for Mistral only', () => {
    const { parse } = mistral;
    const windowed = {
      ...llama,
      architectures: ['MistralForCausalLM'],
      model_type: 'mistral',
      sliding_window: 4096,
    };
    expect(parse(windowed, 'c').memory[0]).toEqual(
      attentionSpec({ numKvHeads: 32, headDim: 128, window: 4096 }),
    );
    expect(attentionOf(parse({ ...windowed, sliding_window: null }, 'c')).window).toBeUndefined();
    expect(attentionOf(parseLlama({ ...llama, sliding_window: 4096 }, 'c')).window).toBeUndefined();
  });

  const impossible: readonly [object, string][] = [
    [{ num_attention_heads: 30 }, 'c.json: num_attention_heads: is 30, must divide hidden_size 4096 evenly'],
    [
      { num_key_value_heads: 5 },
      'num_key_value_heads: is 5, must divide the 32 of num_attention_heads evenly',
    ],
    [{ hidden_size: -4096 }, 'hidden_size: is -4096, must be between 1 and 262144'],
    [{ hidden_size: 2 ** 40 }, 'hidden_size: is 1099511627776, must be between 1 and 262144'],
    [{ num_hidden_layers: 1e9 }, 'num_hidden_layers: is 1000000000, must be between 1 and 4096'],
    [{ num_hidden_layers: 2.5 }, 'num_hidden_layers: is 2.5, must be a whole number'],
    [{ vocab_size: null }, 'vocab_size: is missing'],
    [{ vocab_size: '32000' }, 'vocab_size: must be a number, found "32000"'],
    [{ head_dim: 0 }, 'head_dim: is 0, must be between 2 and 4096'],
    [{ rms_norm_eps: 2 }, 'rms_norm_eps: is 2, must be between 0 and 1'],
    [{ hidden_act: 'relu6' }, 'hidden_act: unknown activation "relu6"; supported are silu'],
    [{ attention_bias: 1 }, 'attention_bias: must be true or false, found 1'],
    [{ eos_token_id: [2, 'x'] }, 'eos_token_id: holds "x", must be whole numbers from 0'],
  ];
  it.each(impossible)('rejects %j', (fields, message) => {
    expect(() => parseLlama({ ...llama, ...fields }, 'c.json')).toThrow(message);
  });

  it('rejects what is not an object', () => {
    for (const json of [null, 3, 'text', [1, 2]]) {
      expect(() => parseLlama(json, 'c.json')).toThrow('c.json: config: must be an object');
    }
  });
});

describe('qwen3 config', () => {
  const windowed = { ...llama, model_type: 'qwen3', use_sliding_window: true, sliding_window: 512 };
  const windows = (json: object) =>
    parseQwen3(json, 'c').layers.map((layer) => 'attention' in layer && layer.attention.window);

  it('takes windows from layer_types or from max_window_layers', () => {
    expect(windows({ ...windowed, max_window_layers: 1 })).toEqual([undefined, 512]);
    expect(windows({ ...windowed, layer_types: ['sliding_attention', 'full_attention'] })).toEqual([
      512,
      undefined,
    ]);
    expect(windows({ ...windowed, max_window_layers: 0, use_sliding_window: false })).toEqual([
      undefined,
      undefined,
    ]);
  });

  it('norms query and key heads, with a head size of 128 unless stated', () => {
    expect(attentionOf(parseQwen3(llama, 'c'))).toMatchObject({ qkNorm: 'head', headDim: 128 });
    expect(attentionOf(parseQwen3({ ...llama, hidden_size: 1024 }, 'c')).headDim).toBe(128);
  });

  it('rejects layer types that do not fit', () => {
    expect(() => windows({ ...windowed, layer_types: ['full_attention'] })).toThrow(
      'layer_types: has 1 entries for 2 layers',
    );
    expect(() => windows({ ...windowed, layer_types: ['full_attention', 'linear_attention'] })).toThrow(
      'unknown kind of layer "linear_attention"',
    );
    expect(() => windows({ ...llama, layer_types: ['full_attention', 'sliding_attention'] })).toThrow(
      'sliding_window is not set',
    );
  });
});

describe('qwen3-moe config', () => {
  const kinds = (json: object) =>
    parseQwen3Moe(json, 'c').layers.map((layer: LayerConfig) => layer.feedForward.kind);

  it('is sparse everywhere by default', () => {
    expect(kinds(moe)).toEqual(Array(6).fill('moe'));
    const { intermediate_size: _, ...sparse } = moe;
    expect(kinds(sparse)).toEqual(Array(6).fill('moe'));
  });

  it('mixes dense and sparse layers', () => {
    expect(kinds({ ...moe, decoder_sparse_step: 2, mlp_only_layers: [3] })).toEqual([
      'dense',
      'moe',
      'dense',
      'dense',
      'dense',
      'moe',
    ]);
    expect(kinds({ ...moe, num_experts: 0 })).toEqual(Array(6).fill('dense'));
  });

  it('reads the newer name of the number of experts', () => {
    const { num_experts, ...rest } = moe;
    expect(
      parseQwen3Moe({ ...rest, num_local_experts: num_experts }, 'c').layers[0]?.feedForward,
    ).toMatchObject({
      numExperts: 8,
      topK: 2,
      router: { score: 'softmax', normalised: false },
    });
  });

  it('rejects more experts per token than there are', () => {
    expect(() => kinds({ ...moe, num_experts_per_tok: 9 })).toThrow(
      'num_experts_per_tok: is 9, but there are 8 experts',
    );
  });
});

/** Everything that some family must have. */
const anything = {
  ...moe,
  num_local_experts: 8,
  n_routed_experts: 8,
  moe_num_experts: 8,
  moe_k: 2,
  shared_expert_intermediate_size: 64,
  kv_lora_rank: 16,
  q_lora_rank: 8,
  qk_nope_head_dim: 8,
  qk_rope_head_dim: 8,
  v_head_dim: 8,
};
const everyFamily = families.map((family) => [family.names[0] ?? '', family] as const);

describe.each(everyFamily)('config of %s', (_, { names, parse }) => {
  const base = { ...anything, architectures: [names[0]] };
  const refused: readonly [object, RegExp][] = [
    [{ rope_parameters: { rope_type: 'spiral' } }, /unknown kind of rotary scaling "spiral"/],
    [{ rope_scaling: { type: 'linear' } }, /rope_scaling\.factor: is missing/],
    [{ num_attention_heads: 0 }, /num_attention_heads: is 0, must be between 1 and/],
    [{ num_hidden_layers: 2 ** 31 }, /num_hidden_layers: is 2147483648/],
    [{ hidden_size: null }, /hidden_size: is missing/],
    [{ vocab_size: 1.5 }, /vocab_size: is 1.5, must be a whole number/],
  ];
  it('is read, and refused by the name of the field that is impossible', () => {
    const { numLayers, memory } = parse(base, 'c.json');
    expect(numLayers).toBe(6);
    const keyHeads: typeof refused = [
      [{ num_key_value_heads: 5 }, /num_key_value_heads: is 5, must divide the 32/],
    ];
    // Layers with latent rows have no key heads.
    for (const [fields, message] of memory[0]?.kind === 'latent' ? refused : [...refused, ...keyHeads]) {
      expect(() => parse({ ...base, ...fields }, 'c.json'), JSON.stringify(fields)).toThrow(message);
    }
  });
});

describe('experts', () => {
  const glm = { ...anything, architectures: ['Glm4MoeForCausalLM'] };
  const parse = (fields: object) => parseModel({ ...glm, ...fields }, 'c.json');
  it('that cannot be chosen are refused', () => {
    expect(() => parse({ n_group: 3 })).toThrow('n_group: is 3, must divide the 8 experts evenly');
    expect(() => parse({ n_group: 4, topk_group: 5 })).toThrow('topk_group: is 5, but there are 4 groups');
    expect(() => parse({ n_group: 8, topk_group: 1 })).toThrow(
      'topk_group: 1 groups hold 1 experts, 2 are to be chosen',
    );
    expect(() => parse({ num_experts_per_tok: 9 })).toThrow('is 9, but there are 8 experts');
  });
});

describe('any config', () => {
  it('is read or refused with a typed error, never anything else', () => {
    const keys = [
      ...Object.keys(moe),
      'head_dim',
      'rope_scaling',
      'rope_parameters',
      'rope_theta',
      'layer_types',
    ];
    const value = fc.oneof(
      fc.constantFrom(null, -1, 0, 1, 2 ** 31, 2 ** 53, 1e308, Number.NaN, '', 'yarn', true, [], {}, [[]]),
      fc.integer(),
      fc.double(),
      fc.dictionary(fc.constantFrom('type', 'rope_type', 'factor', 'rope_theta'), fc.jsonValue()),
      fc.jsonValue(),
    );
    const change = fc.dictionary(fc.constantFrom(...keys), value, { maxKeys: 3 });
    fc.assert(
      fc.property(change, fc.constantFrom(...families), (fields, { parse }) => {
        try {
          const config = parse({ ...anything, ...fields }, 'config.json');
          expect(config.memory.length).toBe(config.numLayers);
        } catch (error) {
          expect(error).toBeInstanceOf(IngotError);
          expect((error as IngotError).message).toContain('config.json');
        }
      }),
      { numRuns: 3000 },
    );
  });
});
