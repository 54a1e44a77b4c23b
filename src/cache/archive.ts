// What keeps prefixes beyond the life of a cache, seen from the scheduler. Where they are kept is its own affair.

import type { CacheSnapshot } from './contract.ts';

export interface PrefixQuery {
  /** Positions that are known already: no more than these is of no use. */
  readonly known: number;
  /** The most positions that can be used. */
  readonly atMost: number;
}

export interface PrefixArchive {
  /** What is kept of the first positions of `tokens`, as much of it as there is; undefined when that is no more than what is known. */
  find(tokens: readonly number[], query: PrefixQuery): Promise<CacheSnapshot | undefined>;
  /** Keeps the positions of `tokens`; `snapshot` is asked for those that are not kept yet. */
  save(tokens: readonly number[], snapshot: (from: number) => Promise<CacheSnapshot>): Promise<void>;
}
