// The answers to one request while they are generated, and the one place where all that they hold is given back.

import { setMaxListeners } from 'node:events';
import type { AnswerStream } from '../engine/answer.ts';
import {
  type AnswerEnd,
  type AnswerPart,
  type Caller,
  type ChoicePart,
  type Echo,
  totalUsage,
  type Usage,
} from './job.ts';
import { logprobOf } from './logprob.ts';
import type { Metrics } from './metrics.ts';
import type { Lease } from './pool.ts';

/** What is known of the answers before they are generated. */
export interface Prepared {
  /** Makes the answers, to be ended by this signal. */
  readonly start: (signal: AbortSignal) => readonly AnswerStream[];
  /** Frees what they would have used up. */
  readonly discard: () => void;
  readonly promptTokens: number;
  /** Of each prompt, when its answers repeat it. */
  readonly echoes?: readonly Echo[] | undefined;
  /** Oldest messages that were left out because they did not fit. */
  readonly dropped?: number | undefined;
}

interface AnsweringParts extends Prepared {
  readonly lease: Lease;
  readonly caller: Caller;
  /** Gives the request's places back. */
  readonly leave: () => void;
  readonly metrics: Metrics;
}

export class Answering {
  readonly #parts: AnsweringParts;
  readonly #abort = new AbortController();
  readonly #ends: AnswerEnd[] = [];
  readonly #onAbort = (): void => this.#abort.abort(this.#parts.caller.signal.reason);
  #started = false;
  #over = false;
  firstTokenMs: number | undefined;

  constructor(parts: AnsweringParts) {
    this.#parts = parts;
    // Every choice listens; the default takes more than ten for a leak and says so on stderr.
    setMaxListeners(0, this.#abort.signal);
    parts.caller.signal.addEventListener('abort', this.#onAbort, { once: true });
  }

  get model(): string {
    return this.#parts.lease.name;
  }
  get promptTokens(): number {
    return this.#parts.promptTokens;
  }
  get echoes(): readonly Echo[] | undefined {
    return this.#parts.echoes;
  }
  get dropped(): number {
    return this.#parts.dropped ?? 0;
  }
  /** What has been counted; complete when all answers have ended. */
  get usage(): Usage {
    return totalUsage(this.#ends);
  }

  /** The parts of all answers as they come. To be read once. */
  async *parts(): AsyncGenerator<ChoicePart, void, void> {
    this.#started = true;
    try {
      const streams = this.#parts.start(this.#abort.signal);
      for await (const each of merge(streams.map((stream) => this.#partsOf(stream)))) {
        if (each.part.kind === 'end') this.#ends.push(each.part);
        yield each;
      }
      this.#parts.metrics.answered(this.model, this.usage);
    } finally {
      this.end();
    }
  }

  /** Stops what still runs and gives everything back. May be called at any time and more than once. */
  end(): void {
    if (this.#over) return;
    this.#over = true;
    const { lease, leave, discard, caller } = this.#parts;
    caller.signal.removeEventListener('abort', this.#onAbort);
    this.#abort.abort(new DOMException('the answer is no longer wanted', 'AbortError'));
    if (!this.#started) discard();
    lease.release();
    leave();
  }

  async *#partsOf(stream: AnswerStream): AsyncGenerator<AnswerPart, void, void> {
    const { lease } = this.#parts;
    const { tokenizer } = lease.model;
    const clock = this.#clock();
    try {
      for await (const { events, token, logprob } of stream.parts()) {
        if (token !== undefined) clock();
        const logprobs = logprob ? [logprobOf(tokenizer, logprob)] : [];
        if (events.length > 0 || logprobs.length > 0) yield { kind: 'delta', events, logprobs };
      }
    } catch (error) {
      lease.failed(error);
      throw error;
    }
    const { promptTokens, cachedTokens, generatedTokens, prefillMs, decodeMs, experts } = stream.stats;
    yield {
      kind: 'end',
      reason: stream.endReason,
      stopText: stream.stoppedBy,
      usage: {
        promptTokens,
        cachedTokens,
        generatedTokens,
        reasoningTokens: stream.reasoningTokens,
        experts,
      },
      times: { loadMs: lease.loadMs, prefillMs, decodeMs },
    };
  }

  /** To be called at each token of one answer. */
  #clock(): () => void {
    const { lease, caller, metrics } = this.#parts;
    let last: number | undefined;
    return () => {
      const now = performance.now();
      if (last !== undefined) metrics.token(lease.name, now - last);
      else if (this.firstTokenMs === undefined) {
        this.firstTokenMs = now - caller.start;
        metrics.firstToken(lease.name, this.firstTokenMs);
      }
      last = now;
    };
  }
}

/**
 * What `sources` yield, as it comes, with the number of the source. When one fails, all end. Not with Promise.race: each call
 * would leave a reaction on the promises that stay pending, and a choice that waits for its turn is pending for long.
 */
async function* merge(
  sources: readonly AsyncGenerator<AnswerPart>[],
): AsyncGenerator<ChoicePart, void, void> {
  const arrived: { readonly choice: number; readonly result: IteratorResult<AnswerPart> }[] = [];
  let failure: { readonly error: unknown } | undefined;
  let wake = (): void => undefined;
  const pull = async (choice: number): Promise<void> => {
    try {
      const result = await sources[choice]?.next();
      if (result) arrived.push({ choice, result });
    } catch (error) {
      failure ??= { error };
    }
    wake();
  };
  try {
    for (const choice of sources.keys()) void pull(choice);
    for (let left = sources.length; left > 0; ) {
      if (failure) throw failure.error;
      const next = arrived.shift();
      if (next === undefined) {
        await new Promise<void>((resolve) => {
          wake = resolve;
        });
      } else if (next.result.done === true) left--;
      else {
        yield { choice: next.choice, part: next.result.value };
        void pull(next.choice);
      }
    }
  } finally {
    for (const source of sources) void source.return(undefined).catch(() => undefined);
  }
}
