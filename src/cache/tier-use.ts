// What a tiered cache did during one answer: what went to disk and came back, and how near that came to what the disk allows.
// Answers that run at the same time share steps, so each counts what all of them did meanwhile.

import type { TierCounters } from './tiered.ts';

export interface TierUse {
  /** Share of the pages that attention saw that were in memory. */
  readonly hitRate: number;
  readonly bytesWritten: number;
  readonly bytesRead: number;
  /** 10^9 bytes per second, while a read or write was under way. */
  readonly diskGBs: number;
  /** Tokens per second that the disk allows, by the bytes that were moved for each; undefined when nothing was. */
  readonly ceiling: number | undefined;
  /** Share of it that was reached. */
  readonly reached: number | undefined;
}

/** Watches the counters of a cache over one answer. */
export class TierWatch {
  readonly #counters: () => TierCounters | undefined;
  readonly #start: TierCounters | undefined;
  #first: TierCounters | undefined;

  constructor(counters: () => TierCounters | undefined) {
    this.#counters = counters;
    this.#start = counters();
  }

  /** With the first token: what is moved from there on is moved for single tokens. */
  began(): void {
    if (this.#start !== undefined) this.#first ??= this.#counters();
  }

  /** Undefined where everything is in memory. */
  ended(answer: { readonly generatedTokens: number; readonly decodeMs: number }): TierUse | undefined {
    const [start, end] = [this.#start, this.#counters()];
    if (end === undefined || start === undefined) return undefined;
    const first = this.#first ?? start;
    const moved = (from: TierCounters): number =>
      end.bytesRead + end.bytesWritten - from.bytesRead - from.bytesWritten;
    const diskGBs = moved(start) / Math.max(1, end.busyNs - start.busyNs);
    const tokens = answer.generatedTokens - 1;
    const known = tokens > 0 && moved(first) > 0 && answer.decodeMs > 0;
    const ceiling = known ? (tokens * diskGBs * 1e9) / moved(first) : undefined;
    const requests = end.requests - start.requests;
    return {
      hitRate: requests > 0 ? (end.hits - start.hits) / requests : 1,
      bytesWritten: end.bytesWritten - start.bytesWritten,
      bytesRead: end.bytesRead - start.bytesRead,
      diskGBs,
      ceiling,
      reached: ceiling === undefined ? undefined : (1000 * tokens) / answer.decodeMs / ceiling,
    };
  }
}
