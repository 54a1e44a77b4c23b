// The cases: what is run, which time counts, and the physical limit it is held against.

import type { RunTimes } from '../src/generate/timing.ts';
import { activeWeights, type BenchShape, bytesPerToken } from './shapes.ts';

/** What the machine can do, measured in the same run. */
export interface Limits {
  /** 10^9 bytes per second. */
  readonly bandwidthGBs: number;
  /** 10^12 operations per second, a multiply-add is two: int8 on a CPU, f16 matrices on a GPU. */
  readonly tops: number;
}

export interface BenchCase {
  readonly name: 'decode' | 'prefill';
  readonly promptTokens: number;
  readonly decodeTokens: number;
  /** The time that counts, in milliseconds. */
  cost(times: RunTimes): number;
  tokensPerSecond(times: RunTimes): number;
  /** tokens/s at which the limiting resource is fully used. */
  ceiling(shape: BenchShape, limits: Limits): number;
}

const sum = (values: readonly number[]): number => values.reduce((a, b) => a + b, 0);

/** 64 tokens after a prompt of 512: bound by reading every active weight once per token. */
const decode: BenchCase = {
  name: 'decode',
  promptTokens: 512,
  decodeTokens: 64,
  cost: (times) => sum(times.tokenMs),
  tokensPerSecond: (times) => (1000 * times.tokenMs.length) / sum(times.tokenMs),
  ceiling: (shape, limits) => (limits.bandwidthGBs * 1e9) / bytesPerToken(shape),
};

/** 512 tokens until the first answer token: bound by two operations per active weight and token. */
const prefill: BenchCase = {
  name: 'prefill',
  promptTokens: 512,
  decodeTokens: 0,
  cost: (times) => times.firstTokenMs,
  tokensPerSecond: (times) => (1000 * 512) / times.firstTokenMs,
  ceiling: (shape, limits) => (limits.tops * 1e12) / (2 * activeWeights(shape)),
};

export const cases: readonly BenchCase[] = [decode, prefill];

/** Reproducible token ids of round `round`; above the byte tokens and below the special ones. */
export function randomPrompt(shape: BenchShape, length: number, round: number): number[] {
  let state = (round + 1) * 0x9e3779b9;
  return Array.from({ length }, () => {
    state = (Math.imul(state ^ (state >>> 15), 0x2c1b3c6d) + 0x6d2b79f5) >>> 0;
    return 256 + (state % (shape.vocab - 512));
  });
}
