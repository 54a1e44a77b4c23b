// The plain KV cache: one sequence, a slot per position. Layers with a sliding window shorter than the capacity keep a ring
// of slots instead.

import type { NDArray } from '../array/array.ts';
import { attention } from '../array/ops/attention.ts';
import { kvWrite } from '../array/ops/kv-write.ts';
import { IngotError } from '../base/errors.ts';
import type { Device } from '../device/device.ts';
import type { AttendOptions, KVCache, KvLayerSpec } from '../nn/contracts.ts';
import {
  type CacheSequence,
  type CacheSnapshot,
  type CacheStore,
  checkSnapshot,
  checkTrim,
} from './contract.ts';
import { type LayerSlots, LayerStates, layerBytes, type SlotRun } from './layer-states.ts';

export interface StandardCacheOptions {
  /** Positions the sequence can have. */
  readonly capacity: number;
  /** Storage type of keys and values: f16, or f32 for exact results. */
  readonly dtype: 'f16' | 'f32';
  /** Most rows written by one step (a prefill chunk). Windowed layers then keep window + maxRows slots at most. */
  readonly maxRows?: number;
}

interface LayerPlan extends LayerSlots {
  /** Slot = position mod ring; 0: slot = position. */
  readonly ring: number;
}

/** Bytes that a cache of these layers takes: known before it is allocated. */
export const standardCacheBytes = (layers: readonly KvLayerSpec[], options: StandardCacheOptions): number =>
  layers.reduce((sum, spec) => sum + layerBytes(plan(spec, options), options.dtype), 0);

export class StandardCache implements CacheStore, KVCache {
  /** Bytes of keys and values on the device. */
  readonly bytes: number;
  readonly capacity: number;
  readonly #device: Device;
  readonly #specs: readonly KvLayerSpec[];
  readonly #options: StandardCacheOptions;
  readonly #plans: readonly LayerPlan[];
  readonly #states: LayerStates;
  #sequence: StandardSequence | undefined;

  /** Allocates the cache, zeroed. Throws out_of_memory from the device, invalid_argument for an impossible capacity. */
  constructor(device: Device, layers: readonly KvLayerSpec[], options: StandardCacheOptions) {
    if (!Number.isSafeInteger(options.capacity) || options.capacity < 1) {
      throw new IngotError('invalid_argument', `KV cache: capacity ${options.capacity} must be at least 1`);
    }
    this.#device = device;
    this.#specs = layers;
    this.#options = options;
    this.#plans = layers.map((spec) => plan(spec, options));
    this.#states = new LayerStates(device, this.#plans, options.dtype);
    this.bytes = this.#states.bytes;
    this.capacity = options.capacity;
  }

  get bytesUsed(): number {
    return this.#sequence === undefined ? 0 : this.bytes;
  }

  inputs() {
    return {};
  }

  view(): KVCache {
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
    const [states, ring] = [this.#states.layers[layer], this.#plans[layer]?.ring];
    if (states === undefined || ring === undefined) {
      throw new IngotError(
        'invalid_argument',
        `KV cache: layer ${layer} of ${this.#plans.length} does not exist`,
      );
    }
    const [keys, values] = kvWrite(states.keys, states.values, k, v, positions, { ring });
    return attention(q, keys, values, positions, { ...options, ring });
  }

  create(): CacheSequence {
    if (this.#sequence !== undefined) {
      throw new IngotError('out_of_memory', 'a standard KV cache holds one sequence, and it has one');
    }
    this.#sequence = new StandardSequence(this, () => {
      this.#sequence = undefined;
    });
    return this.#sequence;
  }

  async restore(snapshot: CacheSnapshot): Promise<CacheSequence> {
    const { length, first, layers } = snapshot;
    checkSnapshot(snapshot, {
      dtype: this.#options.dtype,
      layers: this.#plans.length,
      positions: this.capacity,
    });
    const sequence = this.create() as StandardSequence;
    await this.#states.write(length - first, layers, (layer) => this.#runs(layer, first, length));
    sequence.reset(length, snapshot.earliestTrim);
    return sequence;
  }

  /** Used by its sequence. */
  async snapshot(sequence: CacheSequence): Promise<CacheSnapshot> {
    const { length, earliestTrim } = sequence;
    const first = Math.min(
      length,
      ...this.#plans.map(({ ring }) => (ring === 0 ? 0 : Math.max(0, length - ring))),
    );
    const layers = await this.#states.read(length - first, (layer) => this.#runs(layer, first, length));
    return { dtype: this.#options.dtype, length, first, earliestTrim, layers };
  }

  /** Used by its sequence: another cache of the same kind. */
  sibling(): StandardCache {
    return new StandardCache(this.#device, this.#specs, this.#options);
  }

  /**
   * The first position from which a sequence can be continued differently when `written` tokens, counting the longest it
   * has been, are in the cache: earlier keys of windowed layers have been overwritten. Starting over at 0 always works.
   */
  earliestRewind(written: number): number {
    return this.#plans.reduce((earliest, { ring, spec }) => {
      if (ring === 0 || written <= ring) return earliest;
      return Math.max(earliest, written - ring + (spec.window ?? ring) - 1);
    }, 0);
  }

  /** Frees the device memory. */
  dispose(): void {
    this.#states.dispose();
  }

  /** Slots of positions first … length - 1, as places counted from `first`. */
  #runs(layer: number, first: number, length: number): readonly SlotRun[] {
    const ring = this.#plans[layer]?.ring ?? 0;
    if (ring === 0) return [{ from: 0, slot: first, count: length - first }];
    const runs: SlotRun[] = [];
    for (let at = Math.max(first, length - ring); at < length; ) {
      const count = Math.min(length - at, ring - (at % ring));
      runs.push({ from: at - first, slot: at % ring, count });
      at += count;
    }
    return runs;
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

  get earliestTrim(): number {
    return Math.max(this.#floor, this.store.earliestRewind(this.#written));
  }

  extend(rows: number): boolean {
    if (this.#length + rows > this.store.capacity) return false;
    this.#length += rows;
    this.#written = Math.max(this.#written, this.#length);
    return true;
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

  snapshot(): Promise<CacheSnapshot> {
    return this.store.snapshot(this);
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

/** A row at position p reads back to p - window + 1 after the last row of its step, p + maxRows - 1, was written. */
function plan(spec: KvLayerSpec, { capacity, maxRows }: StandardCacheOptions): LayerPlan {
  const needed = spec.window === undefined || maxRows === undefined ? capacity : spec.window + maxRows - 1;
  return needed < capacity ? { spec, slots: needed, ring: needed } : { spec, slots: capacity, ring: 0 };
}
