// The paged KV cache: many sequences share pages of 32 positions. Forks and known prefixes share them by reference, and a
// page that is shared is copied before it is written. Pages that have left every window are given back.

import type { NDArray } from '../array/array.ts';
import type { InputSpec } from '../array/compile.ts';
import { attention } from '../array/ops/attention.ts';
import { kvWrite } from '../array/ops/kv-write.ts';
import { PAGE_SLOTS } from '../array/ops/paged.ts';
import { IngotError, invariant } from '../base/errors.ts';
import { type DynDim, dynDim } from '../base/shape.ts';
import type { Device } from '../device/device.ts';
import type { KVCache, KvLayerSpec } from '../nn/contracts.ts';
import {
  type CacheSequence,
  type CacheSnapshot,
  type CacheStore,
  checkSnapshot,
  checkTrim,
  type SequenceRows,
} from './contract.ts';
import { LayerStates, layerBytes, type SlotRun } from './layer-states.ts';
import { PagePool } from './page-pool.ts';
import { PrefixTree } from './prefix-tree.ts';

export interface PagedCacheOptions {
  /** Pages of 32 positions that all sequences share. */
  readonly pages: number;
  /** Positions one sequence can have. */
  readonly contextLength: number;
  /** Sequences with rows in one step. */
  readonly maxSequences: number;
  /** Storage type of keys and values: f16, or f32 for exact results. */
  readonly dtype: 'f16' | 'f32';
  /** Pages that prefixes may keep when no sequence uses them; default all: they are given up as soon as one needs them. */
  readonly prefixPages?: number;
}

/** Pages that a sequence of this length takes. */
export const pagesFor = (length: number): number => Math.ceil(length / PAGE_SLOTS);

/** Bytes that a page takes over all layers. */
export const pageBytes = (layers: readonly KvLayerSpec[], dtype: 'f16' | 'f32'): number =>
  layers.reduce((sum, spec) => sum + layerBytes({ spec, slots: PAGE_SLOTS }, dtype), 0);

export class PagedCache implements CacheStore {
  readonly bytes: number;
  readonly pageBytes: number;
  readonly contextLength: number;
  /** Longest window; undefined when a layer sees everything. */
  readonly window: number | undefined;
  readonly pool: PagePool;
  readonly states: LayerStates;
  readonly dtype: 'f16' | 'f32';
  readonly #prefixes: PrefixTree;
  readonly #maxSequences: number;
  readonly #live = new Set<PagedSequence>();

  /** Throws out_of_memory from the device. */
  constructor(device: Device, layers: readonly KvLayerSpec[], options: PagedCacheOptions) {
    const { pages, contextLength, dtype, prefixPages = pages } = options;
    const slots = pages * PAGE_SLOTS;
    this.states = new LayerStates(
      device,
      layers.map((spec) => ({ spec, slots })),
      dtype,
    );
    this.bytes = this.states.bytes;
    this.pageBytes = pageBytes(layers, dtype);
    this.contextLength = contextLength;
    this.dtype = dtype;
    this.#maxSequences = options.maxSequences;
    const windows = layers.map((layer) => layer.window);
    const bounded = windows.filter((w) => w !== undefined);
    this.window = bounded.length === windows.length ? Math.max(...bounded) : undefined;
    this.pool = new PagePool(pages);
    this.#prefixes = new PrefixTree(this.pool, { maxPages: prefixPages, window: this.window });
    this.pool.onShortage(() => this.#prefixes.reclaim());
  }

  get bytesUsed(): number {
    const pages = new Set<number>();
    for (const { pages: own } of this.#live) for (const page of own) if (page >= 0) pages.add(page);
    return pages.size * this.pageBytes;
  }

  /** Pages of known prefixes, also of those that a sequence uses. */
  get prefixPages(): number {
    return this.#prefixes.pages;
  }

  /** Pages that a sequence can have at once: those that are free and those that only prefixes keep. */
  get available(): number {
    return this.pool.free + this.#prefixes.reclaimable;
  }

  inputs(rows: DynDim): Readonly<Record<string, InputSpec>> {
    return {
      sequences: { shape: [rows], dtype: 'i32' },
      pageTable: {
        shape: [dynDim('sequencesInStep', this.#maxSequences), pagesFor(this.contextLength)],
        dtype: 'i32',
      },
    };
  }

  view(inputs: Readonly<Record<string, NDArray>>): KVCache {
    const { sequences, pageTable: pages } = inputs;
    invariant(sequences && pages, 'a paged cache needs the inputs that it named');
    return {
      attend: (layer, q, k, v, positions, options) => {
        const states = this.states.layers[layer];
        if (states === undefined) {
          const count = this.states.layers.length;
          throw new IngotError('invalid_argument', `KV cache: layer ${layer} of ${count} does not exist`);
        }
        const paged = { sequences, pages };
        const [keys, values] = kvWrite(states.keys, states.values, k, v, positions, { paged });
        return attention(q, keys, values, positions, { ...options, paged });
      },
    };
  }

  bind(parts: readonly SequenceRows[]): Readonly<Record<string, Int32Array>> {
    const width = pagesFor(this.contextLength);
    const sequences = new Int32Array(parts.reduce((sum, { rows }) => sum + rows, 0));
    const pageTable = new Int32Array(parts.length * width).fill(-1);
    let at = 0;
    parts.forEach(({ sequence, rows }, i) => {
      invariant(sequence instanceof PagedSequence, 'a paged cache binds its own sequences');
      sequences.fill(i, at, at + rows);
      pageTable.set(sequence.pages, i * width);
      at += rows;
    });
    return { sequences, pageTable };
  }

  create(): PagedSequence {
    return this.#add([], 0);
  }

  /** A sequence that begins with the longest known prefix of `tokens`, at most `atMost` of them. */
  createFrom(tokens: readonly number[], atMost: number): PagedSequence {
    const pages = this.#prefixes.match(tokens, atMost);
    return this.#add(pages, pages.length * PAGE_SLOTS);
  }

  /** Remembers the whole pages among the first `length` tokens of a sequence, once they are written. */
  remember(sequence: PagedSequence, tokens: readonly number[], length: number): void {
    const pages = sequence.pages.slice(0, Math.floor(length / PAGE_SLOTS));
    if (pages.length > 0) this.#prefixes.insert(tokens, pages);
  }

  async restore(snapshot: CacheSnapshot): Promise<PagedSequence> {
    const { length, first, layers } = snapshot;
    const held = { dtype: this.dtype, layers: this.states.layers.length, positions: this.contextLength };
    checkSnapshot(snapshot, held);
    const pages: number[] = Array(Math.floor(first / PAGE_SLOTS)).fill(-1);
    const sequence = this.#add(pages, pages.length * PAGE_SLOTS, snapshot.earliestTrim);
    if (!sequence.extend(length - sequence.length)) {
      sequence.dispose();
      throw outOfPages(pagesFor(length) - pages.length, this);
    }
    await this.states.write(length - first, layers, () => sequence.runs(first));
    return sequence;
  }

  /** Used by a sequence: another with the same pages. */
  copy(of: PagedSequence): PagedSequence {
    for (const page of of.pages) if (page >= 0) this.pool.hold(page);
    return this.#add([...of.pages], of.length, of.earliestTrim);
  }

  /** Used by a sequence that is disposed. */
  forget(sequence: PagedSequence): void {
    this.#live.delete(sequence);
  }

  dispose(): void {
    this.states.dispose();
  }

  #add(pages: number[], length: number, floor = 0): PagedSequence {
    const sequence = new PagedSequence(this, pages, length, floor);
    this.#live.add(sequence);
    return sequence;
  }
}

export class PagedSequence implements CacheSequence {
  readonly store: PagedCache;
  /** Page of positions 32 i … 32 i + 31; -1 once they have left every window. */
  readonly pages: number[];
  #length: number;
  /** From a snapshot. */
  readonly #floor: number;
  #disposed = false;

  constructor(store: PagedCache, pages: number[], length: number, floor: number) {
    this.store = store;
    this.pages = pages;
    this.#length = length;
    this.#floor = floor;
  }

  get length(): number {
    return this.#length;
  }

  get earliestTrim(): number {
    const { window } = this.store;
    const gone = this.pages.lastIndexOf(-1) + 1;
    const seen = window === undefined || gone === 0 ? 0 : gone * PAGE_SLOTS + window - 1;
    return Math.min(this.#length, Math.max(this.#floor, seen));
  }

  extend(rows: number): boolean {
    const { pool, contextLength } = this.store;
    const length = this.#length + rows;
    if (length > contextLength) return false;
    this.#leaveBehind();
    const before = this.pages.length;
    while (this.pages.length < pagesFor(length)) {
      const page = pool.take();
      if (page === undefined) {
        for (const taken of this.pages.splice(before)) pool.release(taken);
        return false;
      }
      this.pages.push(page);
    }
    if (!this.#ownLastPage()) {
      for (const taken of this.pages.splice(before)) pool.release(taken);
      return false;
    }
    this.#length = length;
    return true;
  }

  trim(length: number): void {
    checkTrim(this, length);
    this.#length = length;
    for (const page of this.pages.splice(pagesFor(length))) if (page >= 0) this.store.pool.release(page);
  }

  async fork(): Promise<CacheSequence> {
    return this.store.copy(this);
  }

  async snapshot(): Promise<CacheSnapshot> {
    const { states, dtype } = this.store;
    const [length, earliestTrim] = [this.#length, this.earliestTrim];
    const first = (this.pages.lastIndexOf(-1) + 1) * PAGE_SLOTS;
    const layers = await states.read(length - first, () => this.runs(first));
    return { dtype, length, first, earliestTrim, layers };
  }

  /** Slots of the positions from `first` on, one run for each page. */
  runs(first: number): readonly SlotRun[] {
    const runs: SlotRun[] = [];
    for (let at = first; at < this.#length; ) {
      const within = at % PAGE_SLOTS;
      const count = Math.min(PAGE_SLOTS - within, this.#length - at);
      runs.push({
        from: at - first,
        slot: (this.pages[Math.floor(at / PAGE_SLOTS)] ?? 0) * PAGE_SLOTS + within,
        count,
      });
      at += count;
    }
    return runs;
  }

  dispose(): void {
    if (this.#disposed) return;
    this.#disposed = true;
    // In reverse, so that pages are handed out again in ascending order: neighbours are read in one go.
    for (const page of this.pages.splice(0).reverse()) if (page >= 0) this.store.pool.release(page);
    this.store.forget(this);
  }

  /** Gives back pages that no row from the next position on sees. */
  #leaveBehind(): void {
    const { window, pool } = this.store;
    if (window === undefined) return;
    const seen = Math.floor((this.#length - window + 1) / PAGE_SLOTS);
    for (let i = seen - 1; i >= 0 && (this.pages[i] ?? -1) >= 0; i--) {
      pool.release(this.pages[i] as number);
      this.pages[i] = -1;
    }
  }

  /** The page that the next position goes to, when it holds earlier ones too, must be this sequence's alone. */
  #ownLastPage(): boolean {
    const { pool, states } = this.store;
    const at = Math.floor(this.#length / PAGE_SLOTS);
    const shared = this.pages[at];
    if (this.#length % PAGE_SLOTS === 0 || shared === undefined || pool.holders(shared) === 1) return true;
    const own = pool.take();
    if (own === undefined) return false;
    // Comes before the next step on the device; when it fails, so does that.
    states.copy(shared * PAGE_SLOTS, own * PAGE_SLOTS, PAGE_SLOTS).catch(() => undefined);
    pool.release(shared);
    this.pages[at] = own;
    return true;
  }
}

const outOfPages = (needed: number, { pool, available }: PagedCache): IngotError =>
  new IngotError(
    'out_of_memory',
    `the KV cache needs ${needed} pages and has ${available} of ${pool.size} available: end other generations first, or give it more memory`,
    { details: { needed, available, pages: pool.size } },
  );
