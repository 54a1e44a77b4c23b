import { describe, expect, it } from 'vitest';
import { availableMemory, type MemoryRequest, planMemory, WORKING_BYTES } from './memory.ts';

const request = (over: Partial<MemoryRequest>): MemoryRequest => ({
  model: 'tiny',
  weightBytes: 1000,
  kvBytes: (n) => n * 1000,
  modelContext: 8192,
  contextLength: undefined,
  limit: WORKING_BYTES + 100_000_000,
  ...over,
});

describe('planMemory', () => {
  it('gives the whole context when it fits a quarter of the budget', () => {
    expect(planMemory(request({}))).toBe(8192);
  });

  it('halves the default context until it fits', () => {
    expect(planMemory(request({ modelContext: 131072, limit: WORKING_BYTES + 1000 + 5_000_000 }))).toBe(4096);
  });

  it('takes an explicit context or says what is missing', () => {
    expect(planMemory(request({ contextLength: 100 }))).toBe(100);
    expect(() => planMemory(request({ contextLength: 8000, limit: WORKING_BYTES + 7_000_000 }))).toThrow(
      /tiny needs 0\.19 GiB .*KV cache for 8000 tokens .*lower contextLength/,
    );
  });

  it('rejects an impossible context length', () => {
    expect(() => planMemory(request({ contextLength: 9000 }))).toThrow(/from 1 to 8192 .* got 9000/);
    expect(() => planMemory(request({ contextLength: 0 }))).toThrow(/got 0/);
  });

  it('refuses weights over the limit', () => {
    expect(() => planMemory(request({ weightBytes: 2 ** 40 }))).toThrow(/weights 1024\.00 GiB/);
  });
});

it('availableMemory is a positive number of bytes', () => {
  expect(availableMemory()).toBeGreaterThan(2 ** 20);
});
