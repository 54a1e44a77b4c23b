import { describe, expect, it } from 'vitest';
import type { SourceFormat } from '../../quant/format.ts';
import { f32 as f32Format } from '../../quant/formats/float.ts';
import { q8_0 } from '../../quant/formats/q8_0.ts';
import { dequantizeSource, quantizeReference } from '../../quant/reference.ts';
import { MemorySink } from '../../weights/atomic-file.ts';
import { Checkpoint } from '../../weights/checkpoint.ts';
import { ggufCheckpoint } from '../../weights/gguf/open.ts';
import { readGguf } from '../../weights/gguf/reader.ts';
import { f32, u32, type WritableTensor, type WritableValue, writeGguf } from '../../weights/gguf/writer.ts';
import type { CheckpointParts } from '../../weights/parts.ts';
import { MemorySource } from '../../weights/source.ts';
import { readRows } from '../../weights/tensor.ts';
import { llama3Factors } from './gguf-config.ts';
import { rotaryRowMap } from './rows.ts';
import { modelCheckpoint } from './translate.ts';

const tensor = (
  name: string,
  shape: number[],
  values?: Float32Array,
  format: SourceFormat = f32Format,
): WritableTensor => {
  const elements = shape.reduce((a, b) => a * b, 1);
  const K = shape.at(-1) ?? 1;
  const [data = new Uint8Array(0)] = quantizeReference(
    format,
    values ?? new Float32Array(elements),
    elements / K,
    K,
  );
  return { name, shape, format, data };
};

const llama = {
  'general.architecture': 'llama',
  'llama.block_count': u32(2),
  'llama.embedding_length': u32(64),
  'llama.attention.head_count': u32(4),
  'llama.attention.head_count_kv': u32(2),
  'llama.context_length': u32(512),
  'llama.feed_forward_length': u32(96),
  'llama.attention.layer_norm_rms_epsilon': f32(2 ** -17),
  'llama.rope.freq_base': f32(10000),
};
const embedding = tensor('token_embd.weight', [96, 64]);

async function open(
  metadata: Record<string, WritableValue>,
  tensors: WritableTensor[] = [embedding],
): Promise<CheckpointParts> {
  const sink = new MemorySink();
  await writeGguf(sink, { metadata, tensors });
  const file = await readGguf(new MemorySource(sink.bytes(), 'm.gguf'), () => expect.fail('no shard'));
  return (await modelCheckpoint(new Checkpoint(ggufCheckpoint('m.gguf', file)))).parts;
}

it('GGUF rows of a head of 6 are pairs (0, 3), (1, 4), (2, 5) side by side', () => {
  expect([...rotaryRowMap(12, 6)]).toEqual([0, 2, 4, 1, 3, 5, 6, 8, 10, 7, 9, 11]);
});

describe('GGUF config', () => {
  it('of a llama', async () => {
    const { config } = await open({ ...llama, 'tokenizer.ggml.eos_token_id': u32(2) });
    expect(config).toMatchObject({
      model_type: 'llama',
      vocab_size: 96,
      hidden_size: 64,
      num_hidden_layers: 2,
      num_attention_heads: 4,
      num_key_value_heads: 2,
      head_dim: 16,
      max_position_embeddings: 512,
      intermediate_size: 96,
      rms_norm_eps: 2 ** -17,
      rope_theta: 10000,
      rope_scaling: null,
      tie_word_embeddings: true,
      attention_bias: false,
      bos_token_id: null,
      eos_token_id: 2,
    });
  });

  it('of a mistral: a llama with a window, and a head of its own', async () => {
    const { config } = await open({ ...llama, 'llama.attention.sliding_window': u32(32) }, [
      embedding,
      tensor('output.weight', [96, 64]),
    ]);
    expect(config).toMatchObject({ model_type: 'mistral', sliding_window: 32, tie_word_embeddings: false });
  });

  it('of a mixture of experts', async () => {
    const metadata = Object.fromEntries(
      Object.entries(llama).map(([key, value]) => [key.replace('llama', 'qwen3moe'), value]),
    );
    const { config } = await open({
      ...metadata,
      'general.architecture': 'qwen3moe',
      'qwen3moe.attention.key_length': u32(32),
      'qwen3moe.expert_count': u32(8),
      'qwen3moe.expert_used_count': u32(2),
      'qwen3moe.expert_feed_forward_length': u32(48),
    });
    expect(config).toMatchObject({
      architectures: ['Qwen3MoeForCausalLM'],
      model_type: 'qwen3_moe',
      head_dim: 32,
      num_experts: 8,
      num_experts_per_tok: 2,
      moe_intermediate_size: 48,
      norm_topk_prob: true,
    });
  });

  it('with rope scaling', async () => {
    const linear = { 'llama.rope.scaling.type': 'linear', 'llama.rope.scaling.factor': f32(4) };
    expect((await open({ ...llama, ...linear })).config.rope_scaling).toEqual({
      rope_type: 'linear',
      factor: 4,
    });
    const yarn = {
      'llama.rope.scaling.type': 'yarn',
      'llama.rope.scaling.factor': f32(8),
      'llama.rope.scaling.original_context_length': u32(64),
    };
    expect((await open({ ...llama, ...yarn })).config.rope_scaling).toEqual({
      rope_type: 'yarn',
      factor: 8,
      original_max_position_embeddings: 64,
    });
    // The file's factor multiplies YaRN's own, 1 + 0.1 ln 8.
    const scaled = { ...llama, ...yarn, 'llama.rope.scaling.attn_factor': f32(0.5) };
    expect((await open(scaled)).config.rope_scaling).toMatchObject({
      attention_factor: 0.5 * (1 + 0.1 * Math.log(8)),
    });
    await expect(open({ ...llama, 'llama.rope.scaling.type': 'longrope' })).rejects.toThrow(
      'rope_factors_short.weight: is missing',
    );
  });

  it('with rotary factors: llama3 when they are, themselves when not', async () => {
    const parameters = {
      low_freq_factor: 1,
      high_freq_factor: 4,
      original_max_position_embeddings: 8192,
      factor: 8,
    };
    const factors = Float32Array.from(llama3Factors(64, 500000, parameters));
    expect(new Set(factors).size).toBeGreaterThan(3);
    const metadata = { ...llama, 'llama.rope.freq_base': f32(500000) };
    const found = await open(metadata, [embedding, tensor('rope_freqs.weight', [64], factors)]);
    expect(found.config.rope_scaling).toEqual({ rope_type: 'llama3', ...parameters });
    factors[40] = 3;
    const other = await open(metadata, [embedding, tensor('rope_freqs.weight', [64], factors)]);
    expect(other.config.rope_scaling).toEqual({ rope_type: 'factors', factors: [...factors] });
    factors[0] = Number.NaN;
    await expect(open(metadata, [embedding, tensor('rope_freqs.weight', [64], factors)])).rejects.toThrow(
      'rope_freqs',
    );
  });

  it('says what is missing or impossible', async () => {
    const without = (key: string): Record<string, WritableValue> =>
      Object.fromEntries(Object.entries(llama).filter(([k]) => k !== key));
    await expect(open(without('general.architecture'))).rejects.toThrow(
      'm.gguf: general.architecture: is missing',
    );
    await expect(open(without('llama.block_count'))).rejects.toThrow('m.gguf: llama.block_count: is missing');
    await expect(open({ ...llama, 'general.architecture': 'rwkv7' })).rejects.toThrow(
      'architecture "rwkv7" is not supported; known are llama',
    );
    await expect(open({ ...llama, 'llama.attention.head_count': u32(7) })).rejects.toThrow(
      'an even number is needed',
    );
    await expect(open({ ...llama, 'llama.expert_count': u32(8) })).rejects.toThrow(
      'llama.expert_used_count: is missing',
    );
    await expect(open(llama, [])).rejects.toThrow('token_embd.weight: is missing');
    await expect(open(llama, [embedding, tensor('blk.0.attn_q.weight', [42, 64])])).rejects.toThrow(
      'has 42 rows, not 4 whole heads',
    );
  });
});

describe('GGUF tensors', () => {
  it('stack experts and permute queries and their bias', async () => {
    const values = (n: number): Float32Array => Float32Array.from({ length: n }, (_, i) => Math.sin(i));
    const stacked = tensor('blk.1.ffn_up_exps.weight', [3, 8, 32], values(3 * 8 * 32), q8_0);
    const { tensors, unusable } = await open(llama, [
      embedding,
      stacked,
      tensor('blk.0.attn_q.weight', [64, 64], values(4096)),
      tensor('blk.0.attn_q.bias', [64], values(64)),
      tensor('rope_something', [4]),
      tensor('blk.0.attn_v.weight', [2, 1, 2, 4]),
    ]);
    const experts = tensors.get('model.layers.1.mlp.experts.up_proj.weight');
    if (experts?.kind !== 'source') return expect.fail('experts');
    expect(experts.shape).toEqual([3, 8, 32]);
    expect(experts.slices.length).toBe(3);
    const rows = await readRows(experts.slices[2] ?? [], 5, 2);
    const all = dequantizeSource(q8_0, [stacked.data as Uint8Array], 24, 32);
    expect(dequantizeSource(q8_0, rows, 2, 32)).toEqual(all.subarray((16 + 5) * 32, (16 + 7) * 32));
    for (const name of ['weight', 'bias']) {
      const query = tensors.get(`model.layers.0.self_attn.q_proj.${name}`);
      expect(query?.kind === 'source' && query.rowMap?.slice(0, 10)).toEqual(
        Int32Array.of(0, 2, 4, 6, 8, 10, 12, 14, 1, 3),
      );
    }
    expect([...tensors.keys()]).not.toContain('rope_something');
    expect(unusable?.get('model.layers.0.self_attn.v_proj.weight')).toBe('has 4 dimensions');
  });
});

it('a family that rotates a part of its heads is told of one that rotates all', async () => {
  const file = (dimensions: number) => {
    const own = Object.entries(llama).map(([key, value]) => [key.replace('llama', 'glm4'), value]);
    const metadata = Object.fromEntries(own) as Record<string, WritableValue>;
    const architecture = { 'general.architecture': 'glm4', 'glm4.rope.dimension_count': u32(dimensions) };
    return open({ ...metadata, ...architecture });
  };
  expect((await file(16)).config).toMatchObject({ head_dim: 16, partial_rotary_factor: 1 });
  expect((await file(8)).config).toMatchObject({ partial_rotary_factor: 0.5 });
});
