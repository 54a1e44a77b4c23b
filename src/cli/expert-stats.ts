// The numbers of streamed experts, for people and as JSON.

import { significant } from '../base/statistics.ts';
import { formatBytes } from '../base/text.ts';
import type { GenerateStats, Model } from '../engine/types.ts';
import type { ExpertStatus } from '../experts/contract.ts';

/** Watches a streamed model over one answer. */
export class ExpertWatch {
  readonly #model: Model;
  readonly #start: ExpertStatus | undefined;
  #first: ExpertStatus | undefined;

  constructor(model: Model) {
    this.#model = model;
    this.#start = this.#now();
  }

  #now(): ExpertStatus | undefined {
    return this.#model.info.memory?.streamed === true ? this.#model.status().experts : undefined;
  }

  /** With the first text of the answer: what is read from there on is read for single tokens. */
  began(): void {
    this.#first ??= this.#now();
  }

  /** Undefined where experts are not streamed. */
  ended(stats: GenerateStats): ExpertNumbers | undefined {
    const end = this.#now();
    if (end === undefined || this.#start === undefined) return undefined;
    return expertNumbers({ start: this.#start, first: this.#first ?? this.#start, end, stats });
  }
}

export interface ExpertNumbers {
  readonly hitRate: number;
  readonly requests: number;
  readonly bytesRead: number;
  /** 10^9 bytes per second, while a read was under way. */
  readonly diskGBs: number;
  /** Tokens per second that the disk allows, by the bytes that were read for each; undefined when nothing was read. */
  readonly ceiling: number | undefined;
  /** Share of it that was reached. */
  readonly reached: number | undefined;
}

function expertNumbers({
  start,
  first,
  end,
  stats,
}: {
  readonly start: ExpertStatus;
  readonly first: ExpertStatus;
  readonly end: ExpertStatus;
  readonly stats: GenerateStats;
}): ExpertNumbers {
  const requests = end.requests - start.requests;
  const bytesRead = end.bytesRead - start.bytesRead;
  const bytesPerNs = bytesRead / Math.max(1, end.busyNs - start.busyNs);
  const tokens = stats.generatedTokens - 1;
  const decoded = end.bytesRead - first.bytesRead;
  const known = tokens > 0 && decoded > 0 && stats.decodeMs > 0;
  const ceiling = known ? (tokens * bytesPerNs * 1e9) / decoded : undefined;
  const speed = (1000 * tokens) / stats.decodeMs;
  return {
    hitRate: requests > 0 ? (end.hits - start.hits) / requests : 1,
    requests,
    bytesRead,
    diskGBs: bytesPerNs,
    ceiling,
    reached: ceiling === undefined ? undefined : speed / ceiling,
  };
}

/** "experts: 81 % of 4,608 were in memory, 1.2 GB read at 1.9 GB/s; the disk allows 5.1 tokens/s, 88 % of it". */
export function formatExperts({
  hitRate,
  requests,
  bytesRead,
  diskGBs,
  ceiling,
  reached,
}: ExpertNumbers): string {
  const percent = (share: number): string => `${(100 * share).toFixed(0)} %`;
  const read = bytesRead > 0 ? `, ${formatBytes(bytesRead)} read at ${diskGBs.toFixed(2)} GB/s` : '';
  const limit =
    ceiling === undefined || reached === undefined
      ? ''
      : `; the disk allows ${significant(ceiling, 3)} tokens/s, ${percent(reached)} of it reached`;
  return `experts: ${percent(hitRate)} of ${requests.toLocaleString('en-US')} were in memory${read}${limit}`;
}
