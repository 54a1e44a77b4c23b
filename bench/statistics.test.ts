// Summaries, the timing of token streams, and the report.

import { describe, expect, it } from 'vitest';
import { significant, summarize } from '../src/base/statistics.ts';
import { timeTokens } from '../src/generate/timing.ts';
import { busySeconds } from './machine.ts';
import { type BenchResult, table } from './report.ts';

describe('summarize', () => {
  it('gives the middle value, or the mean of the middle two', () => {
    expect(summarize([3, 1, 2])).toEqual({ median: 2, min: 1, max: 3 });
    expect(summarize([4, 1, 2, 3])).toEqual({ median: 2.5, min: 1, max: 4 });
    expect(() => summarize([])).toThrow('no values');
  });

  it('rounds to significant digits', () => {
    expect(significant(1234.567)).toBe(1235);
    expect(significant(0.0123456, 3)).toBe(0.0123);
  });
});

async function* tokens(count: number): AsyncGenerator<number> {
  for (let i = 0; i < count; i++) yield i;
}

describe('timeTokens', () => {
  it('separates the first token from those after it and stops there', async () => {
    const times = await timeTokens(tokens(100), 8);
    expect(times.tokenMs).toHaveLength(8);
    expect(times.firstTokenMs).toBeGreaterThanOrEqual(0);
  });

  it('rejects a stream that ends early: a shorter run would be measured as a faster one', async () => {
    await expect(timeTokens(tokens(8), 8)).rejects.toThrow('asked for 9 tokens, got 8');
  });
});

it('busySeconds counts work and steal, not idle time', () => {
  expect(busySeconds('cpu  100 20 30 99999 500 5 6 7 0 0\ncpu0 1 2 3')).toBeCloseTo(1.68);
});

it('table shows medians, spread, ratio and the share of the limit', () => {
  const result: BenchResult = {
    case: 'decode',
    model: 'l1b',
    tokensPerSecond: 50.25,
    spread: { min: 49, max: 51 },
    runs: 5,
    peer: { name: 'p', version: '1', tokensPerSecond: 25, spread: { min: 24, max: 26 }, settings: {} },
    ratio: 2.01,
    bandwidthGBs: 43,
    int8Tops: 0.9,
    shareOfLimit: 0.812,
    cpu: 'Some CPU',
    threads: 2,
    level: 'avx512',
    precision: 'fast',
    otherCpus: 0,
    version: '0.1.0',
    node: 'v20',
    date: '',
  };
  const text = table([result]);
  expect(text).toContain('50.25 (49-51)');
  expect(text).toContain('2.01x');
  expect(text).toContain('81 %');
  expect(text).toContain('Some CPU, 2 threads, avx512, 43 GB/s, 0.9 int8 TOPS, peer p 1');
});
