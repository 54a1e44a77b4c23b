// The paged cache: many sequences share pages of 32 positions, by groups of layers that see alike. Forks and known prefixes
// share pages by reference, and a page that is shared is copied before it is written. Pages that no row sees any more are
// given back. A recurrent state is the only row of its page, as of the last position in it: whole pages are checkpoints.

import type { NDArray } from '../array/array.ts';
import type { InputSpec } from '../array/compile.ts';
import { PAGE_SLOTS } from '../array/ops/memory/paged.ts';
import { IngotError } from '../base/errors.ts';
import type { DynDim } from '../base/shape.ts';
import type { Device } from '../device/device.ts';
import type { LayerSpec, SequenceMemory } from '../nn/contracts.ts';
import {
  type CacheSequence,
  type CacheSnapshot,
  type CacheStore,
  checkSnapshot,
  type SequenceRows,
} from './contract.ts';
import { GroupPages, type StoreGroup } from './group-pages.ts';
import { HeadRowsForm } from './head-rows.ts';
import { PagePool } from './page-pool.ts';
import { PagedMemory } from './paged-memory.ts';
import { ownSequence, PagedSequence } from './paged-sequence.ts';
import {
  type CacheDtype,
  filledSlots,
  groupLayers,
  groupPageBytes,
  leastPageBytes,
  mayLeave,
  pageStride,
  seesAll,
} from './parts.ts';
import { PrefixTree } from './prefix-tree.ts';
import { rotationOf, shiftedTables } from './shifted-tables.ts';
import { CacheSizes, pagesOfSequence } from './sizes.ts';
import { SlotStates } from './slot-states.ts';
import { rowsFrom } from './snapshot-rows.ts';
import { type StepTables, wholeTables } from './step-tables.ts';
import { sumCounters, type TierCounters, TieredStates, type TierFolder } from './tiered.ts';

export interface PagedCacheOptions {
  /** Pages of 32 positions, of layers that see everything, that all sequences share; other layers have what goes with them. */
  readonly pages: number;
  /** Positions one sequence can have. */
  readonly contextLength: number;
  /** Sequences with rows in one step. */
  readonly maxSequences: number;
  /** Most rows that a sequence has in one step; default: its context. */
  readonly maxRows?: number;
  /** What keys and values are stored as: f16, f32 for exact results, or codes. */
  readonly dtype: CacheDtype;
  /** Bytes to stay within, where layers that see less can do with fewer pages. */
  readonly maxBytes?: number;
  /** Where pages of layers that see everything go that do not fit in `maxBytes`; without, all are in memory. */
  readonly tier?: TierFolder | undefined;
  /** Bytes that prefixes may keep when no sequence uses them; default all: they are given up as soon as one needs them. */
  readonly prefixBytes?: number;
  /** Sequences go on beyond the context, which is a window: so many of its first positions stay, in whole pages. */
  readonly keep?: number | undefined;
}

export class PagedCache implements CacheStore {
  readonly bytes: number;
  readonly contextLength: number;
  /** Positions that a sequence can have. */
  readonly longest: number;
  readonly dtype: CacheDtype;
  readonly specs: readonly LayerSpec[];
  readonly groups: readonly StoreGroup[];
  readonly #prefixes: PrefixTree;
  readonly #tables: StepTables;
  readonly #form: HeadRowsForm;
  readonly #live = new Set<PagedSequence>();

  /** Throws out_of_memory from the device; unsupported and invalid_argument for what cannot rotate. */
  constructor(device: Device, specs: readonly LayerSpec[], options: PagedCacheOptions) {
    const { contextLength, dtype } = options;
    this.specs = specs;
    this.contextLength = contextLength;
    this.dtype = dtype;
    this.longest = options.keep === undefined ? contextLength : Number.POSITIVE_INFINITY;
    this.#form = new HeadRowsForm(device, specs, dtype);
    this.groups = this.#made(() => makeGroups(device, specs, options));
    this.bytes = this.groups.reduce((sum, { states }) => sum + states.bytes, 0);
    this.#tables = (options.keep === undefined ? wholeTables : shiftedTables)(this.groups, options);
    const share = Math.min(1, (options.prefixBytes ?? this.bytes) / this.bytes);
    this.#prefixes = new PrefixTree(
      this.groups.map(({ sight, pool }) => ({ sight, pool, maxPages: Math.floor(pool.size * share) })),
    );
  }

  get bytesUsed(): number {
    return this.groups.reduce((sum, { pageBytes, states }, g) => {
      const pages = new Set<number>();
      for (const { groups } of this.#live) {
        for (const page of groups[g]?.pages ?? []) if (page >= 0) pages.add(page);
      }
      return sum + Math.min(states.bytes, pages.size * pageBytes);
    }, 0);
  }

  get prefixBytes(): number {
    const { pages } = this.#prefixes;
    return this.groups.reduce(
      (sum, { pageBytes, states }, g) => sum + Math.min(states.bytes, (pages[g] ?? 0) * pageBytes),
      0,
    );
  }

  /** What went to disk and came back; undefined where everything is in memory. */
  get tier(): TierCounters | undefined {
    return sumCounters(this.groups.flatMap(({ tier }) => tier?.counters() ?? []));
  }

  /**
   * Pages of a group that sees everything are needed for all positions. Others need no more than a sequence can have of
   * them at once.
   */
  available(others: number): number {
    return this.groups.reduce((least, { sight, pool, pagesOfSequence: needed }) => {
      const pages = pool.available - others;
      if (!seesAll(sight) && pages >= needed) return least;
      return Math.min(least, Math.max(0, pages * pageStride(sight) * PAGE_SLOTS));
    }, this.longest);
  }

  inputs(rows: DynDim): Readonly<Record<string, InputSpec>> {
    return this.groups.length === 0 ? {} : this.#tables.inputs(rows);
  }

  view(inputs: Readonly<Record<string, NDArray>>): SequenceMemory {
    return new PagedMemory(this.specs, this.#form, (part) => {
      for (const [g, { states }] of this.groups.entries()) {
        const own = states.of(part);
        if (own !== undefined) return { states: own, ...this.#tables.view(inputs, g) };
      }
      return undefined;
    });
  }

  bind(parts: readonly SequenceRows[]): Readonly<Record<string, Int32Array>> {
    if (this.groups.length === 0) return {};
    for (const { states } of this.groups) states.flush();
    return this.#tables.bind(
      parts.map(({ sequence, rows }) => {
        const { groups, length } = ownSequence(sequence, this);
        return { pages: groups.map((group) => group.pages), length, rows };
      }),
    );
  }

  create(): PagedSequence {
    return this.#add(
      this.groups.map((group) => new GroupPages(group, [])),
      0,
    );
  }

  createFrom(tokens: readonly number[], atMost: number): PagedSequence {
    const pages = this.#prefixes.match(tokens, Math.min(atMost, this.contextLength));
    const length = (pages[0]?.length ?? 0) * PAGE_SLOTS;
    return this.#add(
      this.groups.map((group, g) => new GroupPages(group, [...(pages[g] ?? [])])),
      length,
    );
  }

  remember(sequence: CacheSequence, tokens: readonly number[], length: number): void {
    const { groups } = ownSequence(sequence, this);
    const count = Math.floor(Math.min(length, this.contextLength) / PAGE_SLOTS);
    if (count > 0) {
      const pages = groups.map((group) => group.pages);
      this.#prefixes.insert(tokens, pages, count);
    }
  }

  forgetPrefixes(): void {
    this.#prefixes.clear();
  }

  async restore(snapshot: CacheSnapshot): Promise<PagedSequence> {
    const { length, layers } = snapshot;
    const { dtype, specs } = this;
    checkSnapshot(snapshot, { dtype, specs, positions: this.contextLength });
    const firsts = this.groups.map(({ parts }) =>
      Math.max(0, ...parts.map(({ layer, index }) => layers[layer]?.[index]?.first ?? 0)),
    );
    const rows = this.groups.map(({ parts, sight }, g) =>
      parts.map(({ layer, index, arrays }) =>
        arrays.map((array, i) => {
          const span = { first: firsts[g] ?? 0, length: filledSlots(sight, length) };
          return rowsFrom(layers[layer]?.[index], i, { ...array, ...span });
        }),
      ),
    );
    const groups = this.groups.map((group, g) => {
      const first = firsts[g] ?? 0;
      return new GroupPages(group, Array(Math.floor(first / PAGE_SLOTS)).fill(-1), first);
    });
    const sequence = this.#add(groups, 0);
    if (!sequence.restart(length)) {
      sequence.dispose();
      throw outOfPages(length, this);
    }
    await Promise.all(
      groups.map((pages, g) => {
        const first = firsts[g] ?? 0;
        return pages.group.states.write(pages.rows(first, length), rows[g] ?? [], pages.runs(first, length));
      }),
    );
    return sequence;
  }

  /** Used by a sequence: another with the same pages. */
  copy(of: PagedSequence): PagedSequence {
    return this.#add(
      of.groups.map((group) => group.copy()),
      of.length,
    );
  }

  /** Used by a sequence that is disposed. */
  forget(sequence: PagedSequence): void {
    this.#live.delete(sequence);
  }

  dispose(): void {
    for (const { states } of this.groups) states.dispose();
    this.#form.dispose();
  }

  /** What the constructor has made before is given back when this fails. */
  #made<T>(make: () => T): T {
    try {
      return make();
    } catch (error) {
      this.#form.dispose();
      throw error;
    }
  }

  #add(groups: readonly GroupPages[], length: number): PagedSequence {
    const sequence = new PagedSequence(this, groups, length);
    this.#live.add(sequence);
    return sequence;
  }
}

function makeGroups(
  device: Device,
  specs: readonly LayerSpec[],
  options: PagedCacheOptions,
): readonly StoreGroup[] {
  const { contextLength, maxSequences, maxRows = contextLength, dtype, maxBytes, tier, keep } = options;
  const rotation = keep === undefined ? undefined : rotationOf(contextLength, keep);
  const rotates = rotation !== undefined;
  const limits = { contextLength, maxRows: Math.min(maxRows, contextLength), rotates };
  const sizes = new CacheSizes(specs, dtype, { tiered: tier !== undefined, rotates });
  const pages = sizes.pages(options.pages, maxSequences, limits, maxBytes);
  const parts = groupLayers(specs, dtype, rotation);
  /** What the memory has beside what it must have. */
  const spare = Math.max(0, (maxBytes ?? 0) - sizes.bytes(pages));
  const made: StoreGroup[] = [];
  try {
    for (const [g, group] of parts.entries()) {
      const pool = new PagePool(pages[g] ?? 0);
      const needed = pagesOfSequence(group, limits);
      const leaves = tier !== undefined && mayLeave(group);
      const bytes = leaves ? spare + pool.size * leastPageBytes(group) : 0;
      const place = leaves ? new TieredStates(device, group, { pool, bytes, ...tier }) : undefined;
      made.push({
        ...group,
        pool,
        states: new SlotStates(device, group.parts, pool.size * group.slotsPerPage, place),
        pageBytes: groupPageBytes(group),
        pagesOfSequence: needed,
        keptFree: Math.min(maxSequences * needed, Math.floor(pool.size / 2)),
        tier: place,
      });
    }
    return made;
  } catch (error) {
    for (const { states } of made) states.dispose();
    throw error;
  }
}

const outOfPages = (length: number, store: PagedCache): IngotError => {
  const available = store.available(0);
  const size = store.groups.map(({ pool }) => pool.size).join(' and ');
  return new IngotError(
    'out_of_memory',
    `the cache has no room for a sequence of ${length} positions (${available} available, of ${size} pages): end other generations first, or give it more memory`,
    { details: { needed: length, available } },
  );
};
