// How many pages each group of a paged cache has: what one sequence takes at most, and what many of them share.

import { PAGE_SLOTS } from '../array/ops/memory/paged.ts';
import type { LayerSpec } from '../nn/contracts.ts';
import {
  type CacheDtype,
  groupLayers,
  groupPageBytes,
  leastPageBytes,
  type PartGroup,
  pageStride,
  seesAll,
} from './parts.ts';

/** Checkpoints of recurrent layers that a sequence keeps beside its state, to be cut back to. */
export const KEPT_CHECKPOINTS = 2;

export interface SequenceLimits {
  /** Positions one sequence can have. */
  readonly contextLength: number;
  /** Most rows that a sequence has in one step. */
  readonly maxRows: number;
}

/** Pages of 32 positions that hold this many. */
export const pagesFor = (length: number): number => Math.ceil(length / PAGE_SLOTS);

/** Pages that a sequence must have of a group to take steps of `maxRows` up to the end of its context. */
export function pagesOfSequence(
  { sight }: Pick<PartGroup, 'sight'>,
  { contextLength, maxRows }: SequenceLimits,
): number {
  const all = pagesFor(contextLength);
  switch (sight.kind) {
    case 'all':
    case 'blocks':
      return Math.ceil(all / pageStride(sight));
    case 'window':
      // The positions seen and written may begin at the end of a page.
      return Math.min(all, pagesFor(sight.window - 1 + maxRows) + 1);
    case 'last':
      return Math.min(all, 2);
    default:
      return sight satisfies never;
  }
}

/** Pages of a group that a sequence makes good use of: a step's more than it must have, and checkpoints. */
const pagesUsed = (group: PartGroup, limits: SequenceLimits): number =>
  seesAll(group.sight)
    ? pagesOfSequence(group, limits)
    : Math.min(
        pagesFor(limits.contextLength),
        pagesOfSequence(group, limits) + pagesFor(limits.maxRows) + KEPT_CHECKPOINTS,
      );

/** The sizes of a cache over these layers. */
export class CacheSizes {
  /** Pages may be elsewhere than in memory: bytes are the least that it must have. */
  readonly tiered: boolean;
  readonly #groups: readonly PartGroup[];

  constructor(
    layers: readonly LayerSpec[],
    dtype: CacheDtype,
    { tiered = false }: { readonly tiered?: boolean } = {},
  ) {
    this.#groups = groupLayers(layers, dtype);
    this.tiered = tiered;
  }

  /** Bytes of a cache with these pages of each group when nothing is elsewhere. */
  wholeBytes(pages: readonly number[]): number {
    return this.#groups.reduce((sum, group, i) => sum + (pages[i] ?? 0) * groupPageBytes(group), 0);
  }

  /** Bytes that one sequence takes at most when it has `length` positions. */
  sequenceBytes(limits: SequenceLimits): number {
    return this.#bytes((group) => pagesOfSequence(group, limits));
  }

  /** Bytes that one more position takes; layers that see less than everything have no more of them. */
  get tokenBytes(): number {
    return this.#groups.reduce((sum, group) => {
      const pages = seesAll(group.sight) ? 1 / pageStride(group.sight) : 0;
      return sum + (pages * groupPageBytes(group)) / PAGE_SLOTS;
    }, 0);
  }

  /**
   * Pages of each group when sequences share `pages` pages of everything: layers that see less have no more than all
   * sequences together can use, so they are never what runs out first. Within `bytes` where that is given, with at least
   * what one sequence needs.
   */
  pages(
    pages: number,
    sequences: number,
    limits: SequenceLimits,
    bytes = Number.POSITIVE_INFINITY,
  ): readonly number[] {
    const all = (group: PartGroup): number => Math.ceil(pages / pageStride(group.sight));
    const wanted = this.#groups.map((group) =>
      seesAll(group.sight)
        ? all(group)
        : Math.max(pagesOfSequence(group, limits), Math.min(pages, sequences * pagesUsed(group, limits))),
    );
    const least = this.#groups.map((group, i) =>
      seesAll(group.sight) ? all(group) : Math.min(wanted[i] ?? 0, pagesOfSequence(group, limits)),
    );
    const total = (counts: readonly number[]): number => this.#bytes((_, i) => counts[i] ?? 0);
    const [most, few] = [total(wanted), total(least)];
    if (most <= bytes || most === few) return wanted;
    const share = Math.max(0, (bytes - few) / (most - few));
    return least.map((count, i) => count + Math.floor(((wanted[i] ?? 0) - count) * share));
  }

  /** Bytes of a cache with these pages of each group. */
  bytes(pages: readonly number[]): number {
    return this.#bytes((_, i) => pages[i] ?? 0);
  }

  #bytes(pagesOf: (group: PartGroup, i: number) => number): number {
    const pageBytes = this.tiered ? leastPageBytes : groupPageBytes;
    return this.#groups.reduce((sum, group, i) => sum + pagesOf(group, i) * pageBytes(group), 0);
  }
}
