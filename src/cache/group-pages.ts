// The pages that one sequence holds of a group: taken as it grows, given back as they leave its sight, shared until written.

import { PAGE_SLOTS } from '../array/ops/memory/paged.ts';
import type { PagePool } from './page-pool.ts';
import {
  filledSlots,
  firstNeeded,
  firstPageNeeded,
  keepsPage,
  type PartGroup,
  pageStride,
  seesAll,
  staysFor,
} from './parts.ts';
import { KEPT_CHECKPOINTS, pagesFor } from './sizes.ts';
import type { SlotRun, SlotStates } from './slot-states.ts';
import type { TieredStates } from './tiered.ts';

/** A group of a store: its device memory, and who holds its pages. */
export interface StoreGroup extends PartGroup {
  readonly pool: PagePool;
  readonly states: SlotStates;
  readonly pageBytes: number;
  /** Pages that a sequence has to find. */
  readonly pagesOfSequence: number;
  /** Free pages that are left for what sequences have to find when checkpoints are made. */
  readonly keptFree: number;
  /** Where pages are that memory has no room for. */
  readonly tier?: TieredStates | undefined;
}

export class GroupPages {
  readonly group: StoreGroup;
  /** Page of positions 32 i … 32 i + 31; -1 where it is gone, or was not kept. */
  readonly pages: number[];
  /** The first position that is there, from a snapshot. */
  readonly #first: number;
  /** Taken for later: pages that leave come back here. */
  readonly #reserve: number[] = [];
  #reserves = false;
  /** Pages at the front that were left behind. */
  #left = 0;

  constructor(group: StoreGroup, pages: number[], first = 0) {
    this.group = group;
    this.pages = pages;
    this.#first = first;
  }

  /** The longest length up to `to` that a sequence of `length` can be cut to. */
  checkpoint(to: number, length: number): number {
    if (to === 0 || to === length) return to;
    const { sight } = this.group;
    if (sight.kind === 'blocks') return to;
    if (sight.kind !== 'last') {
      const gone = this.first(length);
      return firstNeeded(sight, to) >= gone ? to : 0;
    }
    let end = Math.floor(to / PAGE_SLOTS);
    while (end > 0 && (this.pages[end - 1] ?? -1) < 0) end--;
    return end * PAGE_SLOTS;
  }

  /** Pages for the positions from `length` to `end` - 1. False, with nothing changed, when there are not enough. */
  extend(length: number, end: number): boolean {
    const before = this.pages.length;
    const last = pagesFor(end) - 1;
    while (this.pages.length <= last) {
      const page = this.#takeFor(this.pages.length, last);
      if (page === undefined) break;
      this.pages.push(page);
    }
    if (this.pages.length > last && this.#ownPageOf(length)) return true;
    this.#release(this.pages.splice(before));
    return false;
  }

  /**
   * Gives back the pages that no row from position `length` on needs. Of states that is all but the last: the last
   * checkpoints are kept until there is a shortage.
   */
  leaveBehind(length: number, shortage: boolean): void {
    const { sight } = this.group;
    const kept = sight.kind === 'last' && !shortage ? KEPT_CHECKPOINTS : 0;
    for (const end = firstPageNeeded(sight, length) - kept; this.#left < end; this.#left++) {
      if (staysFor(sight, this.#left)) continue;
      this.#release([this.pages[this.#left] ?? -1]);
      this.pages[this.#left] = -1;
    }
  }

  /** Takes what `rows` more positions need at once. False, with nothing changed, when there is not enough. */
  reserve(length: number, rows: number): boolean {
    const { sight, pagesOfSequence } = this.group;
    const stride = pageStride(sight);
    const more = Math.floor(pagesFor(length + rows) / stride) - Math.floor(this.pages.length / stride);
    const count = seesAll(sight) ? more : Math.min(more, pagesOfSequence);
    const taken: number[] = [];
    while (taken.length < count) {
      const page = this.group.pool.take();
      if (page === undefined) {
        this.#release(taken);
        return false;
      }
      taken.push(page);
    }
    this.#reserve.push(...taken);
    this.#reserves = true;
    return true;
  }

  /** Gives back what was reserved and is not used. */
  unreserve(): void {
    this.#reserves = false;
    this.group.pool.releaseAll(this.#reserve.splice(0));
  }

  trim(length: number): void {
    this.#release(this.pages.splice(pagesFor(length)));
    this.#left = Math.min(this.#left, this.pages.length);
  }

  /** The same pages, held once more. */
  copy(): GroupPages {
    for (const page of this.pages) if (page >= 0) this.group.pool.hold(page);
    return new GroupPages(this.group, [...this.pages], this.#first);
  }

  /** The first position that a snapshot of `length` positions has. */
  first(length: number): number {
    const { sight } = this.group;
    if (sight.kind === 'last') return Math.max(0, length - 1);
    if (sight.kind === 'blocks') return 0;
    return Math.max(this.#first, (this.pages.lastIndexOf(-1) + 1) * PAGE_SLOTS);
  }

  /** Rows of a snapshot that begins at `first`. */
  rows(first: number, length: number): number {
    return filledSlots(this.group.sight, length) - first;
  }

  /** Slots of the rows of a snapshot that begins at `first`. */
  runs(first: number, length: number): readonly SlotRun[] {
    if (length === 0) return [];
    const pageOf = (position: number): number => this.pages[Math.floor(position / PAGE_SLOTS)] ?? 0;
    const { sight, slotsPerPage } = this.group;
    if (sight.kind === 'last') return [{ from: 0, slot: pageOf(length - 1), count: 1 }];
    if (sight.kind === 'blocks') {
      return Array.from({ length: filledSlots(sight, length) }, (_, block) => {
        const end = (block + 1) * sight.ratio - 1;
        const within = Math.floor((end % PAGE_SLOTS) / sight.ratio);
        return { from: block, slot: pageOf(end) * slotsPerPage + within, count: 1 };
      });
    }
    const runs: SlotRun[] = [];
    for (let at = first; at < length; ) {
      const within = at % PAGE_SLOTS;
      const count = Math.min(PAGE_SLOTS - within, length - at);
      runs.push({ from: at - first, slot: pageOf(at) * PAGE_SLOTS + within, count });
      at += count;
    }
    return runs;
  }

  dispose(): void {
    this.unreserve();
    this.#release(this.pages.splice(0));
  }

  /** The page number `page` of this sequence, whose last one is `last`; -1 where it has no slots or is spared. */
  #takeFor(page: number, last: number): number | undefined {
    const { sight } = this.group;
    if (!keepsPage(sight, page)) return -1;
    return page < last && sight.kind === 'last' ? this.#takeSpare() : this.#take();
  }

  #take(): number | undefined {
    return this.#reserve.pop() ?? this.group.pool.take();
  }

  /** A page for a checkpoint, where that leaves enough for others; -1 where it does not. */
  #takeSpare(): number {
    const { pool, keptFree } = this.group;
    return (pool.available > keptFree ? pool.take() : undefined) ?? -1;
  }

  #release(pages: readonly number[]): void {
    const { pool } = this.group;
    const held = pages.filter((page) => page >= 0);
    if (!this.#reserves) {
      pool.releaseAll(held);
      return;
    }
    for (const page of held) {
      if (pool.holders(page) === 1) this.#reserve.push(page);
      else pool.release(page);
    }
  }

  /** The page that the next position goes to, when it holds earlier ones too, must be this sequence's alone. */
  #ownPageOf(length: number): boolean {
    const { pool, states, slotsPerPage } = this.group;
    const at = Math.floor(length / PAGE_SLOTS);
    const shared = this.pages[at];
    if (length % PAGE_SLOTS === 0 || shared === undefined || shared < 0) return true;
    if (pool.holders(shared) === 1) return true;
    const own = this.#take();
    if (own === undefined) return false;
    // Comes before the next step on the device; when it fails, so does that.
    states.copy(shared * slotsPerPage, own * slotsPerPage, slotsPerPage).catch(() => undefined);
    pool.release(shared);
    this.pages[at] = own;
    return true;
  }
}
