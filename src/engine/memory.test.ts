import { describe, expect, it } from 'vitest';
import { CacheSizes } from '../cache/sizes.ts';
import { attentionSpec } from '../nn/contracts.ts';
import { availableMemory, memoryGroups } from './available-memory.ts';
import { type MemoryRequest, planMemory, WORKING_BYTES } from './memory.ts';

/** 1,000 bytes a position. */
const sizes = new CacheSizes([attentionSpec({ numKvHeads: 25, headDim: 10 })], 'f16');

const request = (over: Partial<MemoryRequest>): MemoryRequest => ({
  model: 'tiny',
  weightBytes: 1000,
  sizes,
  vocabSize: 100,
  modelContext: 8192,
  contextLength: undefined,
  maxSequences: undefined,
  kvBytes: undefined,
  limit: WORKING_BYTES + 100_000_000,
  ...over,
});

describe('planMemory', () => {
  it('gives the whole context when it fits a quarter of the budget, and pages for an eighth of that', () => {
    const limit = WORKING_BYTES + 100_000_000;
    expect(planMemory(request({}))).toEqual({
      contextLength: 8192,
      maxSequences: 64,
      pages: Math.floor(limit / 8 / 32_000),
      cacheBytes: limit / 8,
      prefixBytes: limit / 16,
    });
    const small = planMemory(request({ contextLength: 33, maxSequences: 5 }));
    expect(small).toMatchObject({ contextLength: 33, maxSequences: 5, pages: 10 });
  });

  it('leaves a large machine most of its memory, also when every page has been used', () => {
    const gib = 2 ** 30;
    const wide = (heads: number) =>
      new CacheSizes([attentionSpec({ numKvHeads: heads, headDim: 128 })], 'f16');
    const large = { limit: 24 * gib, modelContext: 32_768 };
    expect(planMemory(request({ ...large, sizes: wide(64) }))).toMatchObject({
      contextLength: 32_768,
      cacheBytes: 3 * gib,
      prefixBytes: gib,
    });
    // At least one whole context: an agent's next turn begins with all of the one before.
    expect(planMemory(request({ ...large, sizes: wide(256) }))).toMatchObject({
      contextLength: 32_768,
      cacheBytes: 4 * gib,
      prefixBytes: 4 * gib,
    });
    expect(planMemory(request({ prefixBytes: 0 })).prefixBytes).toBe(0);
    expect(planMemory(request({ kvBytes: 20_000_000 })).prefixBytes).toBeLessThanOrEqual(20_000_000);
  });

  it('halves the default context until it fits', () => {
    const plan = planMemory(request({ modelContext: 131072, limit: WORKING_BYTES + 100_000 + 5_000_000 }));
    expect(plan.contextLength).toBe(4096);
    expect(planMemory(request({ modelContext: 131072, kvBytes: 20_000_000 }))).toMatchObject({
      contextLength: 16384,
      pages: 625,
    });
  });

  it('takes fewer sequences when their logits and counts do not fit', () => {
    const limit = WORKING_BYTES + 1000 + 2_048_000 + 16 * 100_000 * 8;
    expect(planMemory(request({ vocabSize: 100_000, limit })).maxSequences).toBe(16);
    expect(() => planMemory(request({ maxSequences: 0 }))).toThrow(/from 1 to 1024, got 0/);
  });

  it('takes an explicit context or says what is missing', () => {
    expect(planMemory(request({ contextLength: 100 })).contextLength).toBe(100);
    expect(() => planMemory(request({ contextLength: 8000, limit: WORKING_BYTES + 7_000_000 }))).toThrow(
      /tiny needs \d+ MB .*KV cache for 8000 tokens .*lower contextLength/,
    );
    expect(() => planMemory(request({ contextLength: 8000, kvBytes: 7_000_000 }))).toThrow(
      /8000 tokens of tiny needs .* but kvBytes is 7 MB:/,
    );
  });

  it('rejects an impossible context length', () => {
    expect(() => planMemory(request({ contextLength: 9000 }))).toThrow(/from 1 to 8192 .* got 9000/);
    expect(() => planMemory(request({ contextLength: 0 }))).toThrow(/got 0/);
  });

  it('refuses weights over the limit', () => {
    expect(() => planMemory(request({ weightBytes: 2 ** 40 }))).toThrow(/weights 1\.1 TB/);
  });
});

it('availableMemory is a positive number of bytes', () => {
  expect(availableMemory()).toBeGreaterThan(2 ** 20);
});

describe('control groups of a process', () => {
  it('are those of its own and above, of both versions', () => {
    const folders = (text: string) => memoryGroups(text).map(({ folder, limit }) => `${folder}/${limit}`);
    expect(folders('0::/\n')).toEqual(['/sys/fs/cgroup/memory.max']);
    expect(folders('5:cpu:/x\n4:memory:/a/b\n0::/\n')).toEqual([
      '/sys/fs/cgroup/memory/memory.limit_in_bytes',
      '/sys/fs/cgroup/memory/a/memory.limit_in_bytes',
      '/sys/fs/cgroup/memory/a/b/memory.limit_in_bytes',
      '/sys/fs/cgroup/memory.max',
    ]);
    expect(folders('')).toEqual([]);
  });
});
