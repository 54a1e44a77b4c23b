// What is computed of whole sequences without sampling: logits of every row, log probabilities of the tokens, and pooled hidden
// states.

import { compile } from '../array/compile.ts';
import { arange } from '../array/creation.ts';
import { where } from '../array/ops/elementwise/where.ts';
import { take } from '../array/ops/indexing/take.ts';
import { logSoftmax } from '../array/ops/reduce/log-softmax.ts';
import { SETTINGS_WORDS, settingsWords } from '../array/ops/sampling/row-settings.ts';
import { sample } from '../array/ops/sampling/sample.ts';
import { allPatterns, namesIn, type PatternSet } from '../array/patterns.ts';
import type { Plan } from '../array/plan.ts';
import { invariant } from '../base/errors.ts';
import { type DynDim, dynDim } from '../base/shape.ts';
import { CHUNK, type GeneratedToken, type RunnerOptions, TOP_LOGPROBS } from './runner.ts';
import type { Scheduler } from './scheduler.ts';

/** Rows of one step when the logits of every row are wanted: bounds their memory, vocabulary x 4 bytes a row. */
export const LOGITS_ROWS = 64;

export interface LogitsOptions {
  /** Rows of a step, at most 64; 1: as an answer is written. */
  readonly rows?: number | undefined;
  readonly signal?: AbortSignal | undefined;
}

export type Pooling = 'mean' | 'last';

export type PassesOptions = Pick<RunnerOptions, 'model' | 'device' | 'cache' | 'contextLength'> & {
  readonly scheduler: Scheduler;
  /** The fusions of the plans; default all. */
  readonly patterns?: PatternSet;
};

/** Values of a plan's inputs. */
type Inputs = Readonly<Record<string, readonly number[] | Int32Array>>;

export class Passes {
  readonly #options: PassesOptions;
  #logits: Plan | undefined;
  #logprobs: Plan | undefined;
  #hidden: Plan | undefined;
  #patterns: PatternSet;
  /** Outputs are read before the plan runs again: one step at a time. */
  #tail: Promise<unknown> = Promise.resolve();

  constructor(options: PassesOptions) {
    this.#options = options;
    this.#patterns = options.patterns ?? allPatterns;
  }

  /** From the next call on uses plans with these fusions; no call may be under way. */
  use(patterns: PatternSet): void {
    this.dispose();
    this.#patterns = patterns;
  }

  /** Logits of every row: calls `onRows` with `[rows, vocabulary]` values for consecutive runs of rows. */
  async logits(
    tokens: readonly number[],
    onRows: (logits: Float32Array, firstRow: number) => void,
    { rows = LOGITS_ROWS, signal }: LogitsOptions = {},
  ): Promise<void> {
    this.#logits ??= this.#compileLogits();
    const plan = this.#logits;
    await this.#pieces(tokens, Math.min(rows, LOGITS_ROWS), signal, async (inputs, at) => {
      const [logits] = await plan.run({ inputs });
      onRows((await logits?.data()) as Float32Array, at);
    });
  }

  /** Every token but the first: its log probability after those before it, and the `top` most probable in its place. */
  async logprobs(
    tokens: readonly number[],
    top: number,
    signal?: AbortSignal,
  ): Promise<readonly GeneratedToken[]> {
    this.#logprobs ??= this.#compileLogprobs();
    const plan = this.#logprobs;
    const found: GeneratedToken[] = [];
    await this.#pieces(tokens.slice(0, -1), LOGITS_ROWS, signal, async (inputs, at) => {
      const next = tokens.slice(at + 1, at + 1 + this.#most(LOGITS_ROWS));
      const outputs = await plan.run({
        inputs: {
          ...inputs,
          next,
          settings: settingsWords(next.map(() => ({ top }))),
        },
      });
      const [logprobs, topIds, topLogprobs] = await Promise.all(outputs.map((output) => output.data()));
      const width = (topIds?.length ?? 0) / next.length;
      next.forEach((id, row) => {
        const best = Array.from({ length: Math.min(top, width) }, (_, i) => ({
          id: topIds?.[row * width + i] ?? 0,
          logprob: topLogprobs?.[row * width + i] ?? 0,
        }));
        found.push({ id, logprob: logprobs?.[row] ?? Number.NaN, top: best });
      });
    });
    return found;
  }

  /** Mean or last of the rows of the final hidden state, scaled to length 1: `[D]`. */
  async embed(tokens: readonly number[], pooling: Pooling, signal?: AbortSignal): Promise<Float32Array> {
    this.#hidden ??= this.#compileHidden();
    const plan = this.#hidden;
    const pooled = new Float64Array(this.#options.model.config.hiddenSize);
    await this.#pieces(tokens, CHUNK, signal, async (inputs, at) => {
      const last = Math.min(tokens.length - at, this.#most(CHUNK)) - 1;
      const [sum, end] = await plan.run({ inputs: { ...inputs, last: [last] } });
      const row = await (pooling === 'mean' ? sum : end)?.data();
      row?.forEach((x, i) => {
        pooled[i] = pooling === 'mean' ? (pooled[i] ?? 0) + x : x;
      });
    });
    const norm = Math.hypot(...pooled);
    return Float32Array.from(pooled, (x) => (norm > 0 ? x / norm : x));
  }

  dispose(): void {
    for (const plan of [this.#logits, this.#logprobs, this.#hidden]) plan?.dispose();
    this.#logits = this.#logprobs = this.#hidden = undefined;
  }

  #most(rows: number): number {
    return Math.min(rows, this.#options.contextLength);
  }

  /** Calls `step` with the inputs of consecutive pieces of `tokens`, all in one sequence, and where each begins. */
  async #pieces(
    tokens: readonly number[],
    most: number,
    signal: AbortSignal | undefined,
    step: (inputs: Inputs, at: number) => Promise<void>,
  ): Promise<void> {
    const { scheduler, cache } = this.#options;
    const size = this.#most(most);
    await scheduler.withSequence(tokens.length, signal, async (sequence) => {
      for (let at = 0; at < tokens.length; at += size) {
        signal?.throwIfAborted();
        const ids = tokens.slice(at, at + size);
        invariant(sequence.extend(ids.length), 'a sequence has the room that was reserved for it');
        const rows = cache.bind([{ sequence, rows: ids.length }]);
        await this.#alone(() => step({ ids, positions: ids.map((_, i) => at + i), ...rows }, at));
      }
    });
  }

  async #alone(work: () => Promise<void>): Promise<void> {
    const before = this.#tail;
    const done = before.then(work);
    this.#tail = done.catch(() => undefined);
    await done;
  }

  #compileLogits(): Plan {
    const { model, device, cache } = this.#options;
    const rows = dynDim('rows', this.#most(LOGITS_ROWS));
    return compile((x) => ({ logits: model.logits(model.hidden(x.ids, x.positions, cache.view(x))) }), {
      device,
      patterns: namesIn(this.#patterns),
      inputs: { ...this.#inputs(rows) },
    });
  }

  /** The choice of `sample` is not used: it is there for the list of the most probable. */
  #compileLogprobs(): Plan {
    const { model, device, cache } = this.#options;
    const { vocabSize } = model.config;
    const rows = dynDim('rows', this.#most(LOGITS_ROWS));
    return compile(
      (x) => {
        const logits = model.logits(model.hidden(x.ids, x.positions, cache.view(x)));
        const { topIds, topLogprobs } = sample(logits, x.settings, Math.min(TOP_LOGPROBS, vocabSize));
        const isNext = arange(vocabSize).eq(x.next.reshape([rows, 1]));
        return { logprobs: where(isNext, logSoftmax(logits), 0).sum(-1), topIds, topLogprobs };
      },
      {
        device,
        patterns: namesIn(this.#patterns),
        inputs: {
          ...this.#inputs(rows),
          /** The token that follows each row. */
          next: { shape: [rows], dtype: 'i32' as const },
          settings: { shape: [rows, SETTINGS_WORDS], dtype: 'i32' as const },
        },
      },
    );
  }

  #compileHidden(): Plan {
    const { model, device, cache } = this.#options;
    const rows = dynDim('rows', this.#most(CHUNK));
    return compile(
      (x) => {
        const hidden = model.hidden(x.ids, x.positions, cache.view(x));
        return { sum: hidden.sum(0), last: take(hidden, x.last, 0) };
      },
      {
        device,
        patterns: namesIn(this.#patterns),
        inputs: { ...this.#inputs(rows), last: { shape: [1], dtype: 'i32' as const } },
      },
    );
  }

  #inputs(rows: DynDim) {
    const vector = { shape: [rows], dtype: 'i32' as const };
    return { ids: vector, positions: vector, ...this.#options.cache.inputs(rows) };
  }
}
