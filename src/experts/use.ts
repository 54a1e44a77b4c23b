// What streamed experts did during one answer: how many were there, what was read, what gave way, and how near it came to what the
// disk allows. Answers that run at the same time share steps, so each counts what all of them did meanwhile.

import type { ExpertCounters } from '../device/expert-stream.ts';

export interface ExpertUse {
  /** Experts that steps needed, and the share of them that were in memory. */
  readonly requests: number;
  readonly hitRate: number;
  readonly bytesRead: number;
  /** 10^9 bytes per second, while a read was under way. */
  readonly diskGBs: number;
  /** Tokens per second that the disk allows, by the bytes that were read for each; undefined when nothing was read. */
  readonly ceiling: number | undefined;
  /** Share of it that was reached. */
  readonly reached: number | undefined;
  /** Share of routers' choices that were swapped for experts in memory or left out; undefined where that is not allowed. */
  readonly substituted: number | undefined;
}

/** Times of an answer that say how fast it was. */
interface AnswerSpeed {
  readonly generatedTokens: number;
  readonly decodeMs: number;
}

/** Watches the counters of a streamed model over one answer. */
export class ExpertWatch {
  readonly #counters: () => ExpertCounters;
  readonly #start: ExpertCounters;
  #first: ExpertCounters | undefined;

  constructor(counters: () => ExpertCounters) {
    this.#counters = counters;
    this.#start = counters();
  }

  /** With the first token: what is read from there on is read for single tokens. */
  began(): void {
    this.#first ??= this.#counters();
  }

  ended({ generatedTokens, decodeMs }: AnswerSpeed): ExpertUse {
    const [start, end] = [this.#start, this.#counters()];
    const since = (name: keyof ExpertCounters): number => end[name] - start[name];
    const [requests, bytesRead, choices] = [since('requests'), since('bytesRead'), since('choices')];
    const bytesPerNs = bytesRead / Math.max(1, since('busyNs'));
    const tokens = generatedTokens - 1;
    const decoded = end.bytesRead - (this.#first ?? start).bytesRead;
    const known = tokens > 0 && decoded > 0 && decodeMs > 0;
    const ceiling = known ? (tokens * bytesPerNs * 1e9) / decoded : undefined;
    return {
      requests,
      hitRate: requests > 0 ? since('hits') / requests : 1,
      bytesRead,
      diskGBs: bytesPerNs,
      ceiling,
      reached: ceiling === undefined ? undefined : (1000 * tokens) / decodeMs / ceiling,
      substituted: choices > 0 ? (since('swapped') + since('dropped')) / choices : undefined,
    };
  }
}
