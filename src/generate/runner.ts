// One sequence on one device: a plan that takes the next tokens, updates the KV cache, and samples the token after them.
// The same plan serves a decode step (one row) and a prefill chunk (up to CHUNK rows).

import { compile } from '../array/compile.ts';
import { scalar } from '../array/creation.ts';
import { count } from '../array/ops/count.ts';
import { penalize } from '../array/ops/penalize.ts';
import { sample } from '../array/ops/sample.ts';
import { take } from '../array/ops/take.ts';
import type { Plan } from '../array/plan.ts';
import type { PlanOutput } from '../array/plan-output.ts';
import { State } from '../array/weight.ts';
import { invariant } from '../base/errors.ts';
import { dynDim } from '../base/shape.ts';
import type { Device, DeviceProgram } from '../device/device.ts';
import type { TypicalRun } from '../device/webgpu/tune.ts';
import type { Model } from '../models/contract.ts';
import type { KVCache } from '../nn/contracts.ts';
import { resolveSampling, type SamplingScalars, samplingScalars } from './sampling.ts';

/** Rows of one prefill chunk: enough for the matrix product to be arithmetic, small enough to cancel between chunks. */
export const CHUNK = 512;
/** Rows of one chunk when the logits of every row are wanted: bounds their memory, vocabulary x 4 bytes a row. */
const LOGITS_CHUNK = 64;
/** Alternatives reported beside the sampled token (OpenAI's limit). */
export const TOP_LOGPROBS = 20;

export interface TokenLogprob {
  readonly id: number;
  /** Natural logarithm of the probability, after penalties, before temperature and cuts. */
  readonly logprob: number;
}

export interface GeneratedToken extends TokenLogprob {
  /** The most probable tokens, best first: as many as were asked for. */
  readonly top: readonly TokenLogprob[];
}

/** How to sample a token, and how many alternatives to report. */
export interface StepSettings {
  readonly scalars: SamplingScalars;
  readonly top: number;
}

export interface RunnerOptions {
  readonly model: Model;
  readonly device: Device;
  readonly cache: KVCache;
  readonly contextLength: number;
  /** Record the time of each dispatch. */
  readonly profile?: boolean;
}

const setting = (name: keyof SamplingScalars) => scalar(name, samplingScalars[name]);

export class Runner {
  readonly #options: RunnerOptions;
  /** How often each token is in the context: what penalties look at. */
  readonly #counts: State;
  readonly #chunk: number;
  readonly #step: Plan;
  #logits: Plan | undefined;

  constructor(options: RunnerOptions) {
    const { model, device, cache, contextLength, profile = false } = options;
    const { vocabSize } = model.config;
    this.#options = options;
    this.#counts = new State({ device, shape: [vocabSize], dtype: 'i32', label: 'token counts' });
    this.#chunk = Math.min(CHUNK, contextLength);
    const rows = dynDim('rows', this.#chunk);
    this.#step = compile(
      ({ ids, positions, last }) => {
        const hidden = model.hidden(ids, positions, cache);
        const logits = model.logits(take(hidden, last, 0)).reshape([vocabSize]);
        const penalised = penalize(logits, count(this.#counts, ids), {
          repetition: setting('repetitionPenalty'),
          presence: setting('presencePenalty'),
          frequency: setting('frequencyPenalty'),
        });
        const { id, logprob, topIds, topLogprobs } = sample(penalised, {
          temperature: setting('temperature'),
          topK: setting('topK'),
          topP: setting('topP'),
          minP: setting('minP'),
          seed: setting('seed'),
          step: setting('step'),
          n: Math.min(TOP_LOGPROBS, vocabSize),
        });
        return { id, logprob, topIds, topLogprobs };
      },
      {
        device,
        profile,
        inputs: {
          ids: { shape: [rows], dtype: 'i32' },
          positions: { shape: [rows], dtype: 'i32' },
          last: { shape: [1], dtype: 'i32' },
        },
      },
    );
  }

  /** Time per dispatch of the last step, when recorded. */
  profile(): ReturnType<Plan['profile']> {
    return this.#step.profile();
  }

  /** The step's program, and typical runs of it for the tuner: one row half way into the context, and a full chunk. */
  tunable(): { readonly program: DeviceProgram; readonly loads: readonly TypicalRun[] } {
    const settings = resolveSampling({ seed: 0 });
    const middle = this.#options.contextLength >> 1;
    const loads = [
      { rows: 1, first: middle },
      { rows: this.#chunk, first: 0 },
    ].map(({ rows, first }) => ({
      scalars: { ...settings, rows },
      prepare: () => {
        this.#step.write('ids', new Int32Array(rows));
        this.#step.write(
          'positions',
          Int32Array.from({ length: rows }, (_, i) => first + i),
        );
        this.#step.write('last', [rows - 1]);
      },
    }));
    return { program: this.#step.program, loads };
  }

  /** Tells penalties what the cache already holds. */
  setContext(tokens: readonly number[]): void {
    const counts = new Int32Array(this.#options.model.config.vocabSize);
    for (const id of tokens) counts[id] = (counts[id] ?? 0) + 1;
    this.#counts.write(counts);
  }

  /**
   * Runs `tokens` at positions from `start` on and samples the token after the last one. `onRows` is told the number of
   * tokens done after each chunk. Rejects with the signal's reason between chunks; tokens run so far stay in the cache.
   */
  async extend(
    tokens: readonly number[],
    start: number,
    { scalars, top }: StepSettings,
    options: { readonly signal?: AbortSignal | undefined; readonly onRows?: (done: number) => void } = {},
  ): Promise<GeneratedToken> {
    invariant(tokens.length > 0, 'a step needs at least one token');
    let outputs: readonly PlanOutput[] = [];
    for (let at = 0; at < tokens.length; at += this.#chunk) {
      options.signal?.throwIfAborted();
      const ids = Int32Array.from(tokens.slice(at, at + this.#chunk));
      const positions = ids.map((_, i) => start + at + i);
      outputs = await this.#step.run({ inputs: { ids, positions, last: [ids.length - 1] }, scalars });
      options.onRows?.(at + ids.length);
    }
    return readToken(outputs, top);
  }

  /**
   * Runs the token that the step submitted before this one samples, which may still be running, at `position`, and
   * samples the token after it.
   */
  async follow(position: number, { scalars, top }: StepSettings): Promise<GeneratedToken> {
    const inputs = { positions: [position], last: [0] };
    return readToken(await this.#step.run({ inputs, feed: { ids: 'id' }, scalars }), top);
  }

  /** Logits of every row: calls `onRows` with `[rows, vocabulary]` values for consecutive runs of rows. */
  async logits(
    tokens: readonly number[],
    onRows: (logits: Float32Array, firstRow: number) => void,
    signal?: AbortSignal,
  ): Promise<void> {
    this.#logits ??= this.#compileLogits();
    for (let at = 0; at < tokens.length; at += LOGITS_CHUNK) {
      signal?.throwIfAborted();
      const ids = Int32Array.from(tokens.slice(at, at + LOGITS_CHUNK));
      await this.#logits.run({ inputs: { ids, positions: ids.map((_, i) => at + i) } });
      onRows((await this.#logits.output('logits').data()) as Float32Array, at);
    }
  }

  #compileLogits(): Plan {
    const { model, device, cache, contextLength } = this.#options;
    const rows = dynDim('rows', Math.min(LOGITS_CHUNK, contextLength));
    return compile(({ ids, positions }) => ({ logits: model.logits(model.hidden(ids, positions, cache)) }), {
      device,
      inputs: { ids: { shape: [rows], dtype: 'i32' }, positions: { shape: [rows], dtype: 'i32' } },
    });
  }

  dispose(): void {
    this.#step.dispose();
    this.#logits?.dispose();
    this.#counts.dispose();
  }
}

/** The sampled token among the outputs of a step, which are id, logprob, topIds, topLogprobs. */
async function readToken(outputs: readonly PlanOutput[], top: number): Promise<GeneratedToken> {
  const wanted = top > 0 ? outputs : outputs.slice(0, 2);
  const [id, logprob, topIds, topLogprobs] = await Promise.all(wanted.map((o) => o.data()));
  return {
    id: id?.[0] ?? 0,
    logprob: logprob?.[0] ?? 0,
    top: Array.from(topIds?.subarray(0, top) ?? [], (n, i) => ({ id: n, logprob: topLogprobs?.[i] ?? 0 })),
  };
}
