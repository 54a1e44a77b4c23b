// Greedy generations of a set of prompts, alone or on two sides in turn: tokens, how sure each was, and times.

import { IngotError } from '../base/errors.ts';
import { summarize } from '../base/statistics.ts';
import type { PatchableModel } from './target.ts';

/** A model in the state that is to be measured. */
export interface Side {
  readonly model: PatchableModel;
  /** Brings it into that state and forgets prompts it has seen. */
  readonly prepare: () => Promise<void>;
}

/** One prompt, run once. */
export interface PromptRun {
  readonly tokens: readonly number[];
  /** By how much the logit of each token is above the next; empty unless asked for. */
  readonly margins: readonly number[];
  readonly prefillMs: number;
  readonly decodeMs: number;
}

export interface RunOptions {
  readonly tokens: number;
  /** Whether margins are wanted: they cost time, so such a run is not one to time. */
  readonly margins?: boolean;
  readonly signal?: AbortSignal | undefined;
  readonly onPrompt?: (() => void) | undefined;
}

/** Runs every prompt once, greedily and past end-of-text tokens. */
export async function runPrompts(
  side: Side,
  prompts: readonly (readonly number[])[],
  { tokens, margins = false, signal, onPrompt }: RunOptions,
): Promise<readonly PromptRun[]> {
  await side.prepare();
  const runs: PromptRun[] = [];
  for (const prompt of prompts) {
    const stream = side.model.generate(prompt, {
      maxTokens: tokens,
      temperature: 0,
      ignoreEos: true,
      signal,
      ...(margins ? { logprobs: 2 } : {}),
    });
    const found: number[] = [];
    for await (const token of stream) found.push(token);
    const { prefillMs, decodeMs, logprobs } = stream.stats;
    runs.push({ tokens: found, margins: margins ? logprobs.map(marginOf) : [], prefillMs, decodeMs });
    onPrompt?.();
  }
  return runs;
}

function marginOf({ top }: { readonly top: readonly { readonly logprob: number }[] }): number {
  const [best, next] = top;
  return best === undefined || next === undefined ? Number.POSITIVE_INFINITY : best.logprob - next.logprob;
}

/** Times of one round over all prompts. */
export interface RoundTimes {
  readonly prefillMs: number;
  readonly decodeMs: number;
}

const timesOf = (runs: readonly PromptRun[]): RoundTimes => ({
  prefillMs: runs.reduce((sum, r) => sum + r.prefillMs, 0),
  decodeMs: runs.reduce((sum, r) => sum + r.decodeMs, 0),
});

/** Two sides measured in turn, each first in every other round. */
export interface Interleaved {
  readonly a: readonly RoundTimes[];
  readonly b: readonly RoundTimes[];
  /** All runs, to compare their tokens. */
  readonly runs: {
    readonly a: readonly (readonly PromptRun[])[];
    readonly b: readonly (readonly PromptRun[])[];
  };
}

export async function interleave(
  a: Side,
  b: Side,
  prompts: readonly (readonly number[])[],
  options: RunOptions & { readonly rounds: number },
): Promise<Interleaved> {
  const runs = { a: [] as (readonly PromptRun[])[], b: [] as (readonly PromptRun[])[] };
  for (let round = 0; round < options.rounds; round++) {
    const order = round % 2 === 0 ? (['a', 'b'] as const) : (['b', 'a'] as const);
    for (const side of order) runs[side].push(await runPrompts(side === 'a' ? a : b, prompts, options));
  }
  return { a: runs.a.map(timesOf), b: runs.b.map(timesOf), runs };
}

/** Median of the rounds' ratios: how many times as fast B was as A. */
export const speedOf = ({ a, b }: Interleaved, of: (times: RoundTimes) => number): number =>
  summarize(a.map((times, i) => ratio(of(times), of(b[i] ?? times)))).median;

const ratio = (before: number, after: number): number => (after > 0 ? before / after : 1);

/** Place of the first token that differs; undefined when none does. */
export function firstDifference(a: readonly number[], b: readonly number[]): number | undefined {
  const length = Math.max(a.length, b.length);
  for (let i = 0; i < length; i++) if (a[i] !== b[i]) return i;
  return undefined;
}

/** Prompts as token ids. Throws `invalid_argument` when there are none, or texts for a model without a tokenizer. */
export function encodePrompts(
  model: PatchableModel,
  prompts: readonly (string | readonly number[])[],
  tokens: number,
): readonly (readonly number[])[] {
  if (!Array.isArray(prompts) || prompts.length === 0) {
    throw new IngotError(
      'invalid_argument',
      'prompts must be a list of at least one text or list of token ids',
    );
  }
  const { contextLength, name } = model.info;
  return prompts.map((prompt, i) => {
    const ids = typeof prompt === 'string' ? model.tokenizer.encode(prompt) : prompt;
    if (ids.length === 0) throw new IngotError('invalid_argument', `prompt ${i} is empty`);
    if (ids.length + tokens - 1 <= contextLength) return ids;
    throw new IngotError(
      'context_overflow',
      `prompt ${i} of ${ids.length} tokens and ${tokens} after it do not fit the context of ${name}, ${contextLength}: take fewer tokens, or load with a larger contextLength`,
    );
  });
}
