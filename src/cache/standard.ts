// The plain cache: one sequence, a slot per position. Layers with a sliding window shorter than the capacity keep a ring of
// slots instead, and recurrent layers their one state.

import type { NDArray } from '../array/array.ts';
import { shortConv } from '../array/ops/nn/short-conv.ts';
import type { State } from '../array/weight.ts';
import { IngotError } from '../base/errors.ts';
import type { Device } from '../device/device.ts';
import {
  type AttendOptions,
  type CompressedRows,
  type Convolution,
  type LayerSpec,
  layerOfKind,
  type PositionIndex,
  type SequenceMemory,
} from '../nn/contracts.ts';
import { attendCompressed } from './compressed-rows.ts';
import {
  type CacheSequence,
  type CacheSnapshot,
  type CacheStore,
  checkSnapshot,
  checkTrim,
  type LayerSnapshot,
} from './contract.ts';
import { HeadRowsForm } from './head-rows.ts';
import { attendRows } from './latent-rows.ts';
import { type CacheDtype, filledSlots, type LayerPart, type OwnSight, partsOf, slotBytes } from './parts.ts';
import { type SlotRun, SlotStates } from './slot-states.ts';
import { rowsFrom } from './snapshot-rows.ts';

export interface StandardCacheOptions {
  /** Positions the sequence can have. */
  readonly capacity: number;
  /** What keys and values are stored as: f16, f32 for exact results, or codes. */
  readonly dtype: CacheDtype;
  /** Most rows written by one step (a prefill chunk). Windowed layers then keep window + maxRows slots at most. */
  readonly maxRows?: number;
}

/** Where the rows of a part of a layer are. */
interface PartPlan {
  readonly part: LayerPart;
  readonly sight: OwnSight;
  readonly slots: number;
  /** Slot = position mod ring; 0: slot = position. */
  readonly ring: number;
}

/** Bytes that a cache of these layers takes: known before it is allocated. */
export const standardCacheBytes = (layers: readonly LayerSpec[], options: StandardCacheOptions): number =>
  layers
    .flatMap((spec, i) => plans(spec, i, options))
    .reduce(
      (sum, { part, slots }) =>
        sum + part.arrays.reduce((bytes, array) => bytes + slots * slotBytes(array), 0),
      0,
    );

export class StandardCache implements CacheStore, SequenceMemory {
  /** Bytes on the device. */
  readonly bytes: number;
  readonly prefixBytes = 0;
  readonly capacity: number;
  readonly #device: Device;
  readonly #specs: readonly LayerSpec[];
  readonly #options: StandardCacheOptions;
  readonly #form: HeadRowsForm;
  /** The parts of each layer. */
  readonly #layers: readonly (readonly (PartPlan & { readonly states: SlotStates })[])[];
  #sequence: StandardSequence | undefined;

  /** Allocates the cache, zeroed. Throws out_of_memory from the device, invalid_argument for an impossible capacity. */
  constructor(device: Device, specs: readonly LayerSpec[], options: StandardCacheOptions) {
    if (!Number.isSafeInteger(options.capacity) || options.capacity < 1) {
      throw new IngotError('invalid_argument', `cache: capacity ${options.capacity} must be at least 1`);
    }
    this.#device = device;
    this.#specs = specs;
    this.#options = options;
    this.#form = new HeadRowsForm(device, specs, options.dtype);
    const made: SlotStates[] = [];
    try {
      this.#layers = specs.map((spec, i) =>
        plans(spec, i, options).map((planned) => {
          const states = new SlotStates(device, [planned.part], planned.slots);
          made.push(states);
          return { ...planned, states };
        }),
      );
    } catch (error) {
      for (const states of made) states.dispose();
      this.#form.dispose();
      throw error;
    }
    this.bytes = made.reduce((sum, { bytes }) => sum + bytes, 0);
    this.capacity = options.capacity;
  }

  get bytesUsed(): number {
    return this.#sequence === undefined ? 0 : this.bytes;
  }

  inputs() {
    return {};
  }

  view(): SequenceMemory {
    return this;
  }

  bind() {
    return {};
  }

  attend(
    layer: number,
    q: NDArray,
    k: NDArray,
    v: NDArray,
    positions: NDArray,
    options: AttendOptions,
  ): NDArray {
    const spec = layerOfKind(this.#specs, layer, ['full', 'window'], 'attend');
    const ring = this.#layers[layer]?.[0]?.ring ?? 0;
    return this.#form.attend(spec, this.#states(layer), { q, k, v, positions }, options, { ring });
  }

  latent(
    layer: number,
    q: NDArray,
    row: NDArray,
    positions: NDArray,
    options: AttendOptions,
    index?: PositionIndex,
  ): NDArray {
    const spec = layerOfKind(this.#specs, layer, ['latent'], 'latent');
    return attendRows(spec, this.#states(layer), q, row, positions, options, { index });
  }

  compressed(layer: number, rows: CompressedRows, positions: NDArray, options: AttendOptions): NDArray {
    const spec = layerOfKind(this.#specs, layer, ['compressed'], 'compressed');
    const placeOf = (part: number) => ({
      states: this.#states(layer, part),
      ring: this.#layers[layer]?.[part]?.ring,
    });
    return attendCompressed(spec, placeOf, rows, positions, options);
  }

  convolve(layer: number, x: NDArray, positions: NDArray, { weight, bias }: Convolution): NDArray {
    layerOfKind(this.#specs, layer, ['recurrent'], 'convolve');
    const [state] = this.#states(layer) as readonly [State];
    return shortConv(state, x, weight, positions, { bias });
  }

  create(): CacheSequence {
    return this.#create();
  }

  /** It knows no prefixes. */
  createFrom(): CacheSequence {
    return this.#create();
  }

  remember(): void {}

  forgetPrefixes(): void {}

  available(others: number): number {
    if (others > 0) return 0;
    return this.#sequence === undefined ? this.capacity : this.capacity - this.#sequence.length;
  }

  async restore(snapshot: CacheSnapshot): Promise<CacheSequence> {
    const { length, layers } = snapshot;
    checkSnapshot(snapshot, { dtype: this.#options.dtype, specs: this.#specs, positions: this.capacity });
    const parts = this.#layers.flatMap((own, i) => own.map((part, p) => ({ ...part, from: layers[i]?.[p] })));
    const writes = parts.map((own) => {
      const first = own.from?.first ?? 0;
      const rows = filledSlots(own.sight, length);
      const data = own.part.arrays.map((array, a) =>
        rowsFrom(own.from, a, { ...array, first, length: rows }),
      );
      return own.states.write(rows - first, [data], runs(own, first, length));
    });
    const sequence = this.#create();
    await Promise.all(writes);
    const floor = Math.max(0, ...parts.map(({ sight, from }) => floorOf(sight, from?.first ?? 0, length)));
    sequence.reset(length, floor);
    return sequence;
  }

  /** Used by its sequence. */
  async snapshot({ length }: CacheSequence, from: number): Promise<CacheSnapshot> {
    const snapshotOf = async (own: PartPlan & { readonly states: SlotStates }): Promise<LayerSnapshot> => {
      const { sight, ring, states } = own;
      const kept = sight.kind === 'last' ? 1 : ring;
      const first = kept === 0 ? (sight.kind === 'all' ? from : 0) : Math.max(0, length - kept);
      const [arrays = []] = await states.read(filledSlots(sight, length) - first, runs(own, first, length));
      return { first, arrays };
    };
    const layers = this.#layers.map((parts) => Promise.all(parts.map(snapshotOf)));
    return { dtype: this.#options.dtype, length, layers: await Promise.all(layers) };
  }

  /** Used by its sequence: another cache of the same kind. */
  sibling(): StandardCache {
    return new StandardCache(this.#device, this.#specs, this.#options);
  }

  /**
   * The first position from which a sequence can be continued differently when `written` tokens, counting the longest it
   * has been, are in the cache: earlier keys of windowed layers have been overwritten, and the state of recurrent layers
   * is that of the end. Starting over at 0 always works.
   */
  earliestRewind(written: number): number {
    return this.#layers.flat().reduce((earliest, own) => {
      if (own.sight.kind === 'last') return written;
      if (own.ring === 0 || written <= own.ring) return earliest;
      return Math.max(earliest, floorOf(own.sight, written - own.ring, written));
    }, 0);
  }

  /** Frees the device memory. */
  dispose(): void {
    for (const { states } of this.#layers.flat()) states.dispose();
    this.#form.dispose();
  }

  #create(): StandardSequence {
    if (this.#sequence !== undefined) {
      throw new IngotError('out_of_memory', 'a standard cache holds one sequence, and it has one');
    }
    this.#sequence = new StandardSequence(this, () => {
      this.#sequence = undefined;
    });
    return this.#sequence;
  }

  #states(layer: number, index = 0): readonly State[] {
    return this.#layers[layer]?.[index]?.states.of({ layer, index }) ?? [];
  }
}

class StandardSequence implements CacheSequence {
  readonly store: StandardCache;
  readonly #free: () => void;
  #length = 0;
  /** The longest it has been since it was empty. */
  #written = 0;
  /** From a snapshot. */
  #floor = 0;
  /** A fork is alone in a cache made for it. */
  #ownsStore = false;

  constructor(store: StandardCache, free: () => void) {
    this.store = store;
    this.#free = free;
  }

  get length(): number {
    return this.#length;
  }

  checkpoint(length: number): number {
    const earliest = Math.max(this.#floor, this.store.earliestRewind(this.#written));
    const possible = Math.min(length, this.#length);
    return possible >= earliest ? possible : 0;
  }

  extend(rows: number): boolean {
    if (!this.reserve(rows)) return false;
    this.#length += rows;
    this.#written = Math.max(this.#written, this.#length);
    return true;
  }

  reserve(rows: number): boolean {
    return this.#length + rows <= this.store.capacity;
  }

  trim(length: number): void {
    checkTrim(this, length);
    this.#length = length;
    if (length === 0) this.reset(0, 0);
  }

  async fork(): Promise<CacheSequence> {
    const store = this.store.sibling();
    try {
      const fork = (await store.restore(await this.snapshot())) as StandardSequence;
      fork.#ownsStore = true;
      return fork;
    } catch (error) {
      store.dispose();
      throw error;
    }
  }

  snapshot(from = 0): Promise<CacheSnapshot> {
    return this.store.snapshot(this, from);
  }

  /** Used by the cache. */
  reset(length: number, floor: number): void {
    this.#length = length;
    this.#written = length;
    this.#floor = floor;
  }

  dispose(): void {
    this.#free();
    if (this.#ownsStore) this.store.dispose();
  }
}

/** The earliest position to go on from when a layer has positions `first` … `length` - 1. */
function floorOf(sight: OwnSight, first: number, length: number): number {
  if (first === 0 || sight.kind === 'all' || sight.kind === 'blocks') return 0;
  return sight.kind === 'last' ? length : first + sight.window - 1;
}

/** Slots of positions first … length - 1, as places counted from `first`. */
function runs({ sight, ring, slots }: PartPlan, first: number, length: number): readonly SlotRun[] {
  if (length === 0) return [];
  if (sight.kind === 'last') return [{ from: length - 1 - first, slot: 0, count: 1 }];
  if (sight.kind === 'blocks') return [{ from: 0, slot: 0, count: filledSlots(sight, length) }];
  if (ring === 0) return [{ from: 0, slot: first, count: length - first }];
  const found: SlotRun[] = [];
  for (let at = Math.max(first, length - slots); at < length; ) {
    const count = Math.min(length - at, ring - (at % ring));
    found.push({ from: at - first, slot: at % ring, count });
    at += count;
  }
  return found;
}

/** A row at position p reads back to p - window + 1 after the last row of its step, p + maxRows - 1, was written. */
function plans(
  spec: LayerSpec,
  layer: number,
  { capacity, maxRows, dtype }: StandardCacheOptions,
): readonly PartPlan[] {
  return partsOf(spec, dtype).map(({ sight, arrays }, index): PartPlan => {
    const part = { layer, index, arrays };
    if (sight.kind === 'last') return { part, sight, slots: 1, ring: 0 };
    if (sight.kind === 'blocks')
      return { part, sight, slots: Math.max(1, filledSlots(sight, capacity)), ring: 0 };
    const needed = sight.kind === 'all' || maxRows === undefined ? capacity : sight.window + maxRows - 1;
    return needed < capacity
      ? { part, sight, slots: needed, ring: needed }
      : { part, sight, slots: capacity, ring: 0 };
  });
}
