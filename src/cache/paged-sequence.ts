// A sequence of a paged cache: what it holds of each group, moved on together.

import { IngotError, invariant } from '../base/errors.ts';
import { type CacheSequence, type CacheSnapshot, checkTrim, type LayerSnapshot } from './contract.ts';
import type { GroupPages } from './group-pages.ts';
import type { PagedCache } from './paged.ts';

export class PagedSequence implements CacheSequence {
  readonly store: PagedCache;
  readonly groups: readonly GroupPages[];
  #length: number;
  /** Before it was extended last. */
  #lengthBefore: number;
  #disposed = false;

  constructor(store: PagedCache, groups: readonly GroupPages[], length: number) {
    this.store = store;
    this.groups = groups;
    this.#length = length;
    this.#lengthBefore = length;
  }

  get length(): number {
    return this.#length;
  }

  checkpoint(length: number): number {
    let possible = Math.min(length, this.#length);
    // One group's checkpoint may be none of another's.
    for (let before = -1; before !== possible; ) {
      before = possible;
      for (const group of this.groups) possible = group.checkpoint(possible, this.#length);
    }
    return possible;
  }

  extend(rows: number): boolean {
    const length = this.#length + rows;
    if (length > this.store.longest) return false;
    // What left in the last step goes with this one: until then the scheduler may remember it.
    for (const group of this.groups) group.leaveBehind(this.#lengthBefore, false);
    if (!this.#extendTo(length)) {
      for (const group of this.groups) group.leaveBehind(this.#length, true);
      if (!this.#extendTo(length)) return false;
    }
    this.#lengthBefore = this.#length;
    this.#length = length;
    return true;
  }

  /** Used by the cache: pages for what a snapshot has. */
  restart(length: number): boolean {
    if (!this.#extendTo(length)) return false;
    this.#length = length;
    this.#lengthBefore = length;
    return true;
  }

  reserve(rows: number): boolean {
    if (this.#length + rows > this.store.longest) return false;
    const all = this.groups.every((group) => group.reserve(this.#length, rows));
    if (!all) for (const group of this.groups) group.unreserve();
    return all;
  }

  trim(length: number): void {
    checkTrim(this, length);
    this.#length = length;
    this.#lengthBefore = Math.min(this.#lengthBefore, length);
    for (const group of this.groups) group.trim(length);
  }

  async fork(): Promise<CacheSequence> {
    return this.store.copy(this);
  }

  /** As of the steps submitted so far. Throws unsupported when the window has moved on. */
  async snapshot(from = 0): Promise<CacheSnapshot> {
    const [length, specs] = [this.#length, this.store.specs];
    if (length > this.store.contextLength) {
      throw new IngotError(
        'unsupported',
        `kv 'rotating': of ${length} positions a window of ${this.store.contextLength} is left, which is no snapshot`,
        { details: { length, window: this.store.contextLength } },
      );
    }
    const layers: LayerSnapshot[][] = specs.map(() => []);
    const reads = this.groups.map(async (pages) => {
      const { states, parts, sight } = pages.group;
      const first = Math.max(pages.first(length), sight.kind === 'all' ? from : 0);
      const rows = await states.read(pages.rows(first, length), pages.runs(first, length));
      parts.forEach(({ layer, index }, i) => {
        const own = layers[layer];
        if (own !== undefined) own[index] = { first, arrays: rows[i] ?? [] };
      });
    });
    await Promise.all(reads);
    return { dtype: this.store.dtype, length, layers };
  }

  dispose(): void {
    if (this.#disposed) return;
    this.#disposed = true;
    for (const group of this.groups) group.dispose();
    this.store.forget(this);
  }

  #extendTo(length: number): boolean {
    for (const [i, group] of this.groups.entries()) {
      if (group.extend(this.#length, length)) continue;
      for (const done of this.groups.slice(0, i)) done.trim(this.#length);
      return false;
    }
    return true;
  }
}

/** A sequence of a paged cache, which binds and remembers its own only. */
export function ownSequence(sequence: CacheSequence, store: PagedCache): PagedSequence {
  invariant(
    sequence instanceof PagedSequence && sequence.store === store,
    'a paged cache takes its own sequences',
  );
  return sequence;
}
