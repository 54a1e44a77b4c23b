// A small mixture of experts for tests of where experts are, and its answers by greedy choice.

import type { BenchShape } from '../../bench/shapes.ts';
import type { Model } from '../../src/engine/types.ts';

/** The name is part of the file's: tests that run side by side have one each. */
export const tinyExperts = (name: string, layers: number): BenchShape => ({
  name,
  description: 'for tests',
  architecture: 'qwen3moe',
  layers,
  hidden: 64,
  heads: 2,
  kvHeads: 1,
  headDim: 32,
  inner: 96,
  vocab: 512,
  tied: false,
  experts: { count: 16, used: 4 },
  headNorms: true,
  ropeBase: 10_000,
});

/** Gate and up, and down, of an expert: Q4_0, each a whole number of pages in its block. */
export const expertBlock = 2 * 4096 + 4096;

/** The ids that are generated after `tokens`. */
export async function generate(
  model: Model,
  tokens: readonly number[],
  maxTokens: number,
): Promise<number[]> {
  const answer: number[] = [];
  for await (const id of model.generate(tokens, { maxTokens, ignoreEos: true, temperature: 0 }))
    answer.push(id);
  return answer;
}
