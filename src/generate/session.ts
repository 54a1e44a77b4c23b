// Generations over one KV cache, one after the other. What the cache already holds of a prompt is not computed again.

import { IngotError } from '../base/errors.ts';
import { type GeneratedToken, type Runner, type StepSettings, TOP_LOGPROBS } from './runner.ts';
import { resolveSampling, type SamplingOptions } from './sampling.ts';

export type { GeneratedToken } from './runner.ts';

export type StopReason = 'eos' | 'stop' | 'length' | 'aborted';

export interface GenerateOptions extends SamplingOptions {
  /** Tokens to generate at most; default: as many as the context has room for. */
  readonly maxTokens?: number | undefined;
  /** Go on after an end-of-text token. */
  readonly ignoreEos?: boolean | undefined;
  /** Alternatives per token in `GeneratedToken.top`; 0 (default) to TOP_LOGPROBS. */
  readonly logprobs?: number | undefined;
  /** Ends the generation by rejecting with the signal's reason. */
  readonly signal?: AbortSignal | undefined;
}

/** Told as a generation goes on. Times in milliseconds. */
export interface GenerateProgress {
  promptTokens: number;
  /** Prompt tokens that were in the cache already. */
  cachedTokens: number;
  generatedTokens: number;
  prefillMs: number;
  decodeMs: number;
  stopReason: StopReason | undefined;
}

/** How far back a cache can be continued differently; see StandardCache.earliestRewind. */
export interface Rewindable {
  earliestRewind(written: number): number;
}

export interface SessionOptions {
  readonly runner: Runner;
  readonly cache: Rewindable;
  readonly contextLength: number;
  readonly vocabSize: number;
  readonly eosTokenIds: ReadonlySet<number>;
}

export class Session {
  readonly #options: SessionOptions;
  /** Tokens whose keys and values are in the cache, and the longest it has been since it was empty. */
  #cached: number[] = [];
  #written = 0;
  #tail: Promise<void> = Promise.resolve();
  #disposed = false;

  constructor(options: SessionOptions) {
    this.#options = options;
  }

  /**
   * Generates after `prompt`, filling in `progress`. The next step runs while the consumer looks at a token, and the one
   * after it is submitted before that ends: when a generation ends early, what it left running is waited for by the next.
   * @throws IngotError `context_overflow`, `invalid_argument` for a token outside the vocabulary.
   */
  async *generate(
    prompt: readonly number[],
    options: GenerateOptions,
    progress: GenerateProgress,
  ): AsyncGenerator<GeneratedToken, void, void> {
    const { ignoreEos = false, signal } = options;
    const limit = this.#checkPrompt(prompt, options);
    const settings = { top: checkTop(options.logprobs), scalars: resolveSampling(options) };
    progress.promptTokens = prompt.length;
    const unlock = await this.#lock(signal);
    let next: Promise<GeneratedToken> | undefined;
    try {
      const start = performance.now();
      let token = await this.#prefill(prompt, settings, signal, progress);
      progress.prefillMs = performance.now() - start;
      next = this.#follow(prompt.length, 1, limit, settings);
      for (let made = 1; ; made++) {
        if (!ignoreEos && this.#options.eosTokenIds.has(token.id)) {
          progress.stopReason = 'eos';
          return;
        }
        signal?.throwIfAborted();
        progress.generatedTokens = made;
        progress.decodeMs = performance.now() - start - progress.prefillMs;
        yield token;
        if (next === undefined) {
          progress.stopReason = 'length';
          return;
        }
        const running = next;
        next = this.#follow(prompt.length, made + 1, limit, settings);
        const ran = token.id;
        token = await running;
        this.#cached.push(ran);
      }
    } catch (error) {
      if (signal?.aborted) progress.stopReason = 'aborted';
      throw error;
    } finally {
      // Steps end in the order they were submitted.
      void Promise.allSettled([next]).then(unlock);
    }
  }

  /** Runs `work` with the cache to itself. What it leaves there is forgotten. */
  async exclusively<T>(signal: AbortSignal | undefined, work: () => Promise<T>): Promise<T> {
    const unlock = await this.#lock(signal);
    try {
      this.#cached = [];
      this.#written = 0;
      return await work();
    } finally {
      unlock();
    }
  }

  /** Resolves when nothing runs any more; later calls reject with `disposed`. */
  async close(): Promise<void> {
    this.#disposed = true;
    await this.#tail;
  }

  async #prefill(
    prompt: readonly number[],
    settings: StepSettings,
    signal: AbortSignal | undefined,
    progress: GenerateProgress,
  ): Promise<GeneratedToken> {
    const { runner } = this.#options;
    const kept = this.#reusable(prompt);
    progress.cachedTokens = kept;
    this.#cached = prompt.slice(0, kept);
    if (kept === 0) this.#written = 0;
    runner.setContext(this.#cached);
    const onRows = (done: number): void => {
      this.#cached = prompt.slice(0, kept + done);
      this.#written = Math.max(this.#written, kept + done);
    };
    return runner.extend(prompt.slice(kept), kept, settings, { signal, onRows });
  }

  /** Submits the step that runs generated token number `made`, counted from 1, unless that is the last one. */
  #follow(
    promptTokens: number,
    made: number,
    limit: number,
    { scalars, top }: StepSettings,
  ): Promise<GeneratedToken> | undefined {
    if (made >= limit) return undefined;
    const position = promptTokens + made - 1;
    this.#written = Math.max(this.#written, position + 1);
    const step = this.#options.runner.follow(position, { scalars: { ...scalars, step: made }, top });
    // The consumer may be away when a step fails: the failure is told when the token is asked for.
    step.catch(() => undefined);
    return step;
  }

  /** Length of the prefix of `prompt` to keep: common with the cache, and with at least one token left to run. */
  #reusable(prompt: readonly number[]): number {
    let n = 0;
    while (n < prompt.length - 1 && n < this.#cached.length && prompt[n] === this.#cached[n]) n++;
    return n >= this.#options.cache.earliestRewind(this.#written) ? n : 0;
  }

  /** Tokens that may be generated. */
  #checkPrompt(prompt: readonly number[], { maxTokens }: GenerateOptions): number {
    const { contextLength, vocabSize } = this.#options;
    checkTokens(prompt, vocabSize);
    if (prompt.length > contextLength) {
      throw new IngotError(
        'context_overflow',
        `the prompt has ${prompt.length} tokens and the context holds ${contextLength}: shorten it, or load the model with a larger contextLength`,
        { details: { promptTokens: prompt.length, contextLength } },
      );
    }
    if (maxTokens !== undefined && (!Number.isInteger(maxTokens) || maxTokens < 1)) {
      throw new IngotError(
        'invalid_argument',
        `maxTokens must be an integer of at least 1, got ${maxTokens}`,
      );
    }
    // The last token generated is never run, so it needs no room.
    return Math.min(maxTokens ?? Number.POSITIVE_INFINITY, contextLength - prompt.length + 1);
  }

  async #lock(signal: AbortSignal | undefined): Promise<() => void> {
    if (this.#disposed) throw new IngotError('disposed', 'the model was disposed');
    signal?.throwIfAborted();
    const before = this.#tail;
    let unlock = (): void => {};
    this.#tail = new Promise((resolve) => {
      unlock = resolve;
    });
    try {
      await orAborted(before, signal);
    } catch (error) {
      void before.then(unlock); // those behind still wait for those ahead
      throw error;
    }
    return unlock;
  }
}

/** `work`, or a rejection with the signal's reason as soon as it is aborted. */
async function orAborted(work: Promise<void>, signal: AbortSignal | undefined): Promise<void> {
  if (signal === undefined) return work;
  let stop = (): void => {};
  const aborted = new Promise<never>((_, reject) => {
    stop = () => reject(signal.reason);
    signal.addEventListener('abort', stop, { once: true });
  });
  try {
    await Promise.race([work, aborted]);
  } finally {
    signal.removeEventListener('abort', stop);
  }
}

/** @throws IngotError `invalid_argument` naming the first token that is not in the vocabulary, or when there is none. */
export function checkTokens(tokens: readonly number[], vocabSize: number): void {
  if (tokens.length === 0)
    throw new IngotError('invalid_argument', 'the prompt is empty: give at least one token');
  const bad = tokens.findIndex((id) => !Number.isInteger(id) || id < 0 || id >= vocabSize);
  if (bad < 0) return;
  throw new IngotError(
    'invalid_argument',
    `token ${tokens[bad]} at position ${bad} is outside the vocabulary of ${vocabSize} tokens`,
    { details: { position: bad, token: tokens[bad], vocabSize } },
  );
}

function checkTop(logprobs: number | undefined): number {
  if (logprobs === undefined) return 0;
  if (Number.isInteger(logprobs) && logprobs >= 0 && logprobs <= TOP_LOGPROBS) return logprobs;
  throw new IngotError(
    'invalid_argument',
    `logprobs must be an integer from 0 to ${TOP_LOGPROBS}, got ${logprobs}`,
  );
}
