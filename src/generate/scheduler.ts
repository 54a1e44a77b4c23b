// Continuous batching: generations of one model share its steps. A generation waits its turn until the KV cache has room
// for it, then takes part in every step until it ends. When the cache runs full the youngest gives its pages up and is run
// again later. The next step is queued on the device before the last one ends.

import { IngotError } from '../base/errors.ts';
import type { PrefixArchive } from '../cache/archive.ts';
import type { CacheSequence, CacheStore } from '../cache/contract.ts';
import type { TierCounters } from '../cache/tiered.ts';
import { type GenerateOptions, type GenerateProgress, Job, type StopReason } from './job.ts';
import type { GeneratedToken, Runner } from './runner.ts';
import { type JobPart, planStep } from './step.ts';

/** Steps on the device at a time: one that runs and one behind it. */
const STEPS_IN_FLIGHT = 2;

export interface SchedulerOptions {
  readonly runner: Runner;
  readonly cache: CacheStore;
  readonly contextLength: number;
  /** Generations go on beyond the context, which is a window. */
  readonly rotates?: boolean | undefined;
  readonly vocabSize: number;
  readonly eosTokenIds: ReadonlySet<number>;
  readonly maxSequences: number;
  /** A generation gives the same tokens alone and among others. */
  readonly exact: boolean;
  /** Where prefixes are kept beyond this process. */
  readonly archive?: PrefixArchive | undefined;
}

export interface SchedulerStatus {
  /** Generations that take part in steps. */
  readonly running: number;
  /** Those that wait for room. */
  readonly queued: number;
  readonly kvBytes: number;
  /** Of generations that run; prefixes that nobody uses are not counted. */
  readonly kvBytesUsed: number;
  /** Of a cache whose pages may be on disk: what is in memory, what went there and came back. */
  readonly kvTier?: TierCounters | undefined;
  /** Prompts that began with a known prefix, tokens that were not computed again, and bytes of all known prefixes. */
  readonly prefix: { readonly hits: number; readonly hitTokens: number; readonly bytes: number };
}

/** Someone who needs room in the cache for a sequence of his own. */
class RoomRequest {
  readonly rows: number;
  readonly granted: Promise<CacheSequence>;
  grant: (sequence: CacheSequence) => void = () => undefined;
  refuse: (reason: unknown) => void = () => undefined;

  constructor(rows: number) {
    this.rows = rows;
    this.granted = new Promise((resolve, reject) => {
      this.grant = resolve;
      this.refuse = reject;
    });
  }
}

/** Someone who needs that nothing else runs. */
class Turn {
  readonly granted: Promise<void>;
  grant: () => void = () => undefined;
  refuse: (reason: unknown) => void = () => undefined;

  constructor() {
    this.granted = new Promise((resolve, reject) => {
      this.grant = resolve;
      this.refuse = reject;
    });
  }
}

export class Scheduler {
  readonly #options: SchedulerOptions;
  /** In the order of arrival; those that gave their pages up are in front. */
  #queue: (Job | RoomRequest | Turn)[] = [];
  /** In the order of arrival. */
  #running: Job[] = [];
  readonly #freeSlots: number[];
  #leases = 0;
  #archive: PrefixArchive | undefined;
  /** Conversations that go to the archive now. */
  #saving = 0;
  /** Somebody works alone: nothing is let in. */
  #alone = false;
  #inFlight = 0;
  #lastStep = 0;
  #hits = 0;
  #hitTokens = 0;
  #woken = false;
  #disposed = false;
  #closed: (() => void)[] = [];

  constructor(options: SchedulerOptions) {
    this.#options = options;
    this.#archive = options.archive;
    this.#freeSlots = Array.from({ length: options.maxSequences }, (_, i) => options.maxSequences - 1 - i);
  }

  /**
   * Generates after `prompt`, filling in `progress`. Goes on while the consumer looks at a token; leaving the loop or
   * aborting the signal ends it at once, whatever it is doing, and frees what it holds.
   * @throws IngotError `context_overflow`, `invalid_argument`, `disposed`; the signal's reason when aborted.
   */
  async *generate(
    prompt: readonly number[],
    options: GenerateOptions,
    progress: GenerateProgress,
  ): AsyncGenerator<GeneratedToken, void, void> {
    const { signal } = options;
    if (this.#archive !== undefined) await this.#recall(this.#archive, prompt);
    const job = this.#enqueue(prompt, options, progress);
    const abort = (): void => {
      progress.stopReason = 'aborted';
      this.#end(job);
      job.output.fail(signal?.reason, { atOnce: true });
    };
    signal?.addEventListener('abort', abort, { once: true });
    try {
      let first: number | undefined;
      for (let next = await job.output.take(); next !== undefined; next = await job.output.take()) {
        first ??= next.at;
        progress.prefillMs = first - (job.startedAt ?? first);
        progress.decodeMs = next.at - first;
        progress.generatedTokens++;
        yield next.token;
      }
      progress.stopReason = job.stopReason;
    } finally {
      signal?.removeEventListener('abort', abort);
      this.#end(job);
    }
  }

  /**
   * Calls `work` with an empty sequence that can be extended to `rows` positions, for steps that are not part of a generation, once there is room for
   * it. Waits its turn as generations do.
   */
  async withSequence<T>(
    rows: number,
    signal: AbortSignal | undefined,
    work: (sequence: CacheSequence) => Promise<T>,
  ): Promise<T> {
    this.#checkOpen(signal);
    const room = new RoomRequest(rows);
    const abort = (): void => {
      if (!this.#queue.includes(room)) return;
      this.#queue = this.#queue.filter((x) => x !== room);
      room.refuse(signal?.reason);
      this.#wake();
    };
    signal?.addEventListener('abort', abort, { once: true });
    this.#queue.push(room);
    this.#wake();
    try {
      const sequence = await room.granted;
      try {
        return await work(sequence);
      } finally {
        sequence.dispose();
        this.#leases--;
        this.#wake();
      }
    } finally {
      signal?.removeEventListener('abort', abort);
    }
  }

  /** Calls `work` while nothing else runs, when its turn has come; what was asked for later waits until it is done. */
  async alone<T>(signal: AbortSignal | undefined, work: () => Promise<T>): Promise<T> {
    this.#checkOpen(signal);
    const turn = new Turn();
    const abort = (): void => {
      if (!this.#queue.includes(turn)) return;
      this.#queue = this.#queue.filter((x) => x !== turn);
      turn.refuse(signal?.reason);
      this.#wake();
    };
    signal?.addEventListener('abort', abort, { once: true });
    this.#queue.push(turn);
    this.#wake();
    try {
      await turn.granted;
    } finally {
      signal?.removeEventListener('abort', abort);
    }
    try {
      return await work();
    } finally {
      this.#alone = false;
      this.#wake();
    }
  }

  /** What computes keys and values from now on may round them otherwise than what is in the archive. */
  leaveArchive(): void {
    this.#archive = undefined;
  }

  /** Of a cache whose pages may be on disk. */
  get tier(): TierCounters | undefined {
    return this.#options.cache.tier;
  }

  status(): SchedulerStatus {
    const { cache } = this.#options;
    const { tier } = this;
    return {
      running: this.#running.length + this.#leases,
      queued: this.#queue.length,
      kvBytes: cache.bytes,
      kvBytesUsed: cache.bytesUsed,
      ...(tier === undefined ? {} : { kvTier: tier }),
      prefix: {
        hits: this.#hits,
        hitTokens: this.#hitTokens,
        bytes: cache.prefixBytes,
      },
    };
  }

  /** Resolves when nothing runs or waits any more; later calls reject with `disposed`. */
  async close(): Promise<void> {
    this.#disposed = true;
    if (this.#idle) return;
    await new Promise<void>((resolve) => this.#closed.push(resolve));
  }

  get #idle(): boolean {
    return (
      !this.#alone &&
      this.#running.length + this.#queue.length + this.#inFlight + this.#leases + this.#saving === 0
    );
  }

  #checkOpen(signal: AbortSignal | undefined): void {
    if (this.#disposed) throw new IngotError('disposed', 'the model was disposed');
    signal?.throwIfAborted();
  }

  /** Brings what the archive has of a prompt into the cache, where that is more than the cache knows and there is room. */
  async #recall(archive: PrefixArchive, prompt: readonly number[]): Promise<void> {
    const { cache, exact } = this.#options;
    const atMost = prompt.length - (exact ? 2 : 1);
    const found = await archive.find(prompt, { known: this.#known(prompt, atMost), atMost });
    const others = this.#running.length + this.#leases;
    if (found === undefined || this.#disposed || cache.available(others) < found.length) return;
    try {
      const sequence = await cache.restore(found);
      cache.remember(sequence, prompt, found.length);
      sequence.dispose();
    } catch (error) {
      // Somebody else took the room meanwhile, or it is of another shape.
      if (!(error instanceof IngotError)) throw error;
    }
  }

  #known(tokens: readonly number[], atMost: number): number {
    const sequence = this.#options.cache.createFrom(tokens, atMost);
    const { length } = sequence;
    sequence.dispose();
    return length;
  }

  /** Gives the archive what the cache remembers of a conversation. */
  async #save({ tokens }: Job): Promise<void> {
    const archive = this.#archive;
    if (archive === undefined) return;
    const known = this.#options.cache.createFrom(tokens, tokens.length);
    this.#saving++;
    try {
      await archive.save(tokens.slice(0, known.length), (from) => known.snapshot(from));
    } finally {
      known.dispose();
      this.#saving--;
      this.#wake();
    }
  }

  #enqueue(prompt: readonly number[], options: GenerateOptions, progress: GenerateProgress): Job {
    try {
      if (options.signal?.aborted) progress.stopReason = 'aborted';
      this.#checkOpen(options.signal);
      const job = new Job(prompt, options, progress, this.#options);
      this.#prepare(job);
      this.#queue.push(job);
      this.#wake();
      return job;
    } catch (error) {
      options.constraint?.dispose();
      throw error;
    }
  }

  /** Steps are made after the present task, so that generations started together are in one. */
  #wake(): void {
    if (this.#woken) return;
    this.#woken = true;
    queueMicrotask(() => {
      this.#woken = false;
      this.#pump();
    });
  }

  #pump(): void {
    const { runner, exact, vocabSize } = this.#options;
    while (this.#inFlight < STEPS_IN_FLIGHT) {
      this.#admit();
      const parts = planStep(this.#running, {
        chunk: runner.chunk,
        exact,
        vocabSize,
        lastStep: this.#lastStep,
        extend: (job, rows, placed) => this.#extend(job, rows, placed),
        fail: (job, error) => this.#fail(job, error),
      });
      if (parts.length === 0) break;
      this.#submit(parts);
    }
    if (this.#disposed && this.#idle) for (const resolve of this.#closed.splice(0)) resolve();
  }

  async #submit(parts: readonly JobPart[]): Promise<void> {
    const step = ++this.#lastStep;
    let index = 0;
    for (const { job, part } of parts) {
      if (part.sample === undefined) continue;
      job.lastSample = { step, index: index++ };
      job.inFlight++;
    }
    const ends = parts.map(({ part }) => part.sequence.length);
    this.#inFlight++;
    try {
      this.#settle(parts, ends, await this.#options.runner.submit(parts.map(({ part }) => part)));
    } catch (error) {
      for (const { job } of parts) this.#fail(job, error);
    } finally {
      this.#inFlight--;
      this.#pump();
    }
  }

  #settle(parts: readonly JobPart[], ends: readonly number[], tokens: readonly GeneratedToken[]): void {
    const at = performance.now();
    let index = 0;
    parts.forEach(({ job, part }, i) => {
      this.#remember(job, part.sequence, ends[i] ?? 0);
      if (part.sample === undefined) return;
      const token = tokens[index++];
      job.inFlight--;
      if (job.ended || token === undefined) return;
      try {
        this.#accept(job, token, at);
      } catch (error) {
        this.#fail(job, error);
      }
    });
  }

  /** What a step has computed is of use to others. */
  #remember(job: Job, sequence: CacheSequence, end: number): void {
    if (job.sequence !== sequence) return;
    const { cache, exact } = this.#options;
    cache.remember(sequence, job.tokens, exact ? Math.min(end, job.prompt.length) : end);
  }

  #accept(job: Job, token: GeneratedToken, at: number): void {
    if (!Number.isFinite(token.logprob)) throw noToken(token.logprob, job);
    job.constraint?.accept(token.id);
    job.tokens.push(token.id);
    if (!job.ignoreEos && this.#options.eosTokenIds.has(token.id)) {
      this.#finish(job, 'eos');
      return;
    }
    job.output.push({ token, at });
    if (job.tokens.length - job.prompt.length >= job.limit) this.#finish(job, 'length');
    else this.#prepare(job);
  }

  /** Takes the job out of the steps that sample until its constraint is ready for the next token. */
  #prepare(job: Job): void {
    const ready = job.constraint?.prepare?.();
    if (ready === undefined) return;
    job.preparing = true;
    ready.then(
      () => {
        job.preparing = false;
        this.#wake();
      },
      (error) => this.#fail(job, error),
    );
  }

  #finish(job: Job, reason: StopReason): void {
    job.stopReason = reason;
    this.#end(job);
    job.output.end();
  }

  #fail(job: Job, error: unknown): void {
    if (job.ended) return;
    this.#end(job, true);
    job.output.fail(error, { atOnce: false });
  }

  /** Frees what it holds. Steps in flight may still have rows of it: nobody reads their tokens. */
  #end(job: Job, failed = false): void {
    if (job.ended) return;
    job.ended = true;
    if (!failed && job.sequence !== undefined) void this.#save(job);
    this.#stop(job);
    this.#queue = this.#queue.filter((x) => x !== job);
    job.constraint?.dispose();
    this.#wake();
  }

  /** Takes it out of the steps. */
  #stop(job: Job): void {
    this.#running = this.#running.filter((x) => x !== job);
    job.sequence?.dispose();
    job.sequence = undefined;
    if (job.slot !== undefined) this.#freeSlots.push(job.slot);
    job.slot = undefined;
    job.fresh = true;
  }

  /** Room for `rows` more positions of `job`; when there is none, the youngest that has no rows in this step makes room. */
  #extend(job: Job, rows: number, placed: readonly JobPart[]): boolean {
    while (job.sequence !== undefined && !job.sequence.extend(rows)) {
      const youngest = this.#running.findLast((x) => !placed.some((part) => part.job === x));
      if (youngest === undefined || (youngest === job && this.#running.length === 1)) return false;
      this.#stop(youngest);
      this.#queue.unshift(youngest);
    }
    return job.sequence !== undefined;
  }

  /** Lets those in that there is room for, strictly in their order. */
  #admit(): void {
    for (let next = this.#queue[0]; next !== undefined && !this.#alone; next = this.#queue[0]) {
      if (next instanceof Turn) {
        if (this.#running.length + this.#inFlight + this.#leases > 0) return;
        this.#alone = true;
        this.#queue.shift();
        next.grant();
        return;
      }
      if (next instanceof RoomRequest ? !this.#grant(next) : !this.#start(next)) return;
      this.#queue.shift();
      // A step has room for one context that penalties did not see.
      if (next instanceof Job && next.sampling.penalised && (next.sequence?.length ?? 0) > 0) return;
    }
  }

  #grant(room: RoomRequest): boolean {
    if (!this.#hasRoom(1)) return false;
    const sequence = this.#options.cache.create();
    if (this.#hasRoom(room.rows) && sequence.reserve(room.rows)) {
      this.#leases++;
      room.grant(sequence);
      return true;
    }
    sequence.dispose();
    return false;
  }

  #start(job: Job): boolean {
    const { cache, contextLength, exact } = this.#options;
    const { tokens, prompt, progress } = job;
    if (job.inFlight > 0 || this.#freeSlots.length === 0 || !this.#hasRoom(1)) return false;
    const sequence = cache.createFrom(tokens, exact ? prompt.length - 2 : tokens.length - 1);
    if (!this.#hasRoom(Math.min(tokens.length + 1, contextLength) - sequence.length)) {
      sequence.dispose();
      return false;
    }
    job.sequence = sequence;
    job.slot = this.#freeSlots.pop();
    this.#running.push(job);
    this.#running.sort((a, b) => a.order - b.order);
    if (sequence.length > 0) {
      this.#hits++;
      this.#hitTokens += sequence.length;
    }
    if (job.startedAt === undefined) {
      job.startedAt = performance.now();
      progress.queueMs = job.startedAt - job.enqueuedAt;
      progress.cachedTokens = sequence.length;
    }
    return true;
  }

  /** Whether a newcomer finds room for these positions, with some left for each of the others. With no others there always is. */
  #hasRoom(rows: number): boolean {
    const others = this.#running.length + this.#leases;
    return others === 0 || rows <= this.#options.cache.available(others);
  }
}

function noToken(logprob: number, { constraint }: Job): IngotError {
  if (logprob === Number.NEGATIVE_INFINITY) {
    const who = constraint === undefined ? 'the model' : 'the constraint';
    return new IngotError('device_failed', `no token can follow: ${who} allows none`);
  }
  const what = Number.isNaN(logprob) ? 'NaN' : 'infinity';
  return new IngotError(
    'device_failed',
    `the model gave logits with ${what} in them: its weights are damaged, or its numbers do not fit this precision`,
  );
}
