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
  /** Positions go on beyond the context, which is a window of them. */
  readonly rotates?: boolean | undefined;
}

/** Pages of 32 positions that hold this many. */
export const pagesFor = (length: number): number => Math.ceil(length / PAGE_SLOTS);

/** Pages that a sequence must have of a group to take steps of `maxRows` up to the end of its context. */
export function pagesOfSequence(
  { sight }: Pick<PartGroup, 'sight'>,
  { contextLength, maxRows, rotates }: SequenceLimits,
): number {
  const all = rotates ? Number.POSITIVE_INFINITY : pagesFor(contextLength);
  switch (sight.kind) {
    case 'all':
    case 'blocks':
      return Math.ceil(all / pageStride(sight));
    case 'window':
      // The positions seen and written may begin at the end of a page.
      return Math.min(all, pagesFor(sight.window - 1 + maxRows) + 1);
    case 'rotating':
      // The window of the first row of a step, and the pages of the others.
      return pagesFor(contextLength) + pagesFor(maxRows);
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
        limits.rotates ? Number.POSITIVE_INFINITY : pagesFor(limits.contextLength),
        pagesOfSequence(group, limits) + pagesFor(limits.maxRows) + KEPT_CHECKPOINTS,
      );

/** The sizes of a cache over these layers. */
export class CacheSizes {
  /** Pages may be elsewhere than in memory: bytes are the least that it must have. */
  readonly tiered: boolean;
  readonly #groups: readonly PartGroup[];
  readonly #rotates: boolean;

  /** Throws unsupported for layers whose windows cannot rotate, where they are to. */
  constructor(
    layers: readonly LayerSpec[],
    dtype: CacheDtype,
    { tiered = false, rotates = false }: { readonly tiered?: boolean; readonly rotates?: boolean } = {},
  ) {
    // How long the window is comes with the limits, and how much of it stays does not matter.
    this.#groups = groupLayers(layers, dtype, rotates ? { pages: 0, kept: 0 } : undefined);
    this.#rotates = rotates;
    this.tiered = tiered;
  }

  /** Bytes of a cache with these pages of each group when nothing is elsewhere. */
  wholeBytes(pages: readonly number[]): number {
    return this.#groups.reduce((sum, group, i) => sum + (pages[i] ?? 0) * groupPageBytes(group), 0);
  }

  /** Bytes that one sequence takes at most when it has `length` positions. */
  sequenceBytes(limits: SequenceLimits): number {
    return this.#bytes((group) => pagesOfSequence(group, { ...limits, rotates: this.#rotates }));
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
    given: SequenceLimits,
    bytes = Number.POSITIVE_INFINITY,
  ): readonly number[] {
    const limits = { ...given, rotates: this.#rotates };
    const all = (group: PartGroup): number => Math.ceil(pages / pageStride(group.sight));
    const wanted = this.#groups.map((group) => {
      if (seesAll(group.sight)) return all(group);
      const one = pagesOfSequence(group, limits);
      // Without an end, as many sequences as there are pages of whole contexts for.
      const shared = limits.rotates
        ? Math.max(pages, Math.ceil((pages / pagesFor(limits.contextLength)) * one))
        : pages;
      return Math.max(one, Math.min(shared, sequences * pagesUsed(group, limits)));
    });
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
