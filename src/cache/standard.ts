// The plain KV cache: one array of keys and one of values per layer, a slot per position. Layers with a sliding window
// shorter than the context keep a ring of slots instead.

import type { NDArray } from '../array/array.ts';
import { attention } from '../array/ops/attention.ts';
import { kvWrite } from '../array/ops/kv-write.ts';
import { State } from '../array/weight.ts';
import { bytesPerElement } from '../base/dtype.ts';
import { IngotError } from '../base/errors.ts';
import type { Device } from '../device/device.ts';
import type { AttendOptions, KVCache, KvLayerSpec } from '../nn/contracts.ts';

export interface StandardCacheOptions {
  /** Positions the sequence can have. */
  readonly capacity: number;
  /** Storage type of keys and values: f16, or f32 for exact results. */
  readonly dtype: 'f16' | 'f32';
  /** Most rows written by one step (a prefill chunk). Windowed layers then keep window + maxRows slots at most. */
  readonly maxRows?: number;
}

interface LayerCache {
  readonly spec: KvLayerSpec;
  readonly slots: number;
  /** Slot = position mod ring; 0: slot = position. */
  readonly ring: number;
}

/** Bytes that a cache of these layers takes: known before it is allocated. */
export const standardCacheBytes = (layers: readonly KvLayerSpec[], options: StandardCacheOptions): number =>
  layers.reduce((sum, spec) => sum + layerBytes(plan(spec, options), options), 0);

export class StandardCache implements KVCache {
  /** Bytes of keys and values on the device. */
  readonly bytes: number;
  readonly capacity: number;
  readonly #layers: readonly (LayerCache & { readonly keys: State; readonly values: State })[];

  /** Allocates the cache, zeroed. Throws out_of_memory from the device, invalid_argument for an impossible capacity. */
  constructor(device: Device, layers: readonly KvLayerSpec[], options: StandardCacheOptions) {
    if (!Number.isSafeInteger(options.capacity) || options.capacity < 1) {
      throw new IngotError('invalid_argument', `KV cache: capacity ${options.capacity} must be at least 1`);
    }
    this.bytes = standardCacheBytes(layers, options);
    this.capacity = options.capacity;
    this.#layers = layers.map((spec, i) => {
      const planned = plan(spec, options);
      const shape = [spec.numKvHeads, planned.slots, spec.headDim];
      const make = (what: string): State =>
        new State({ device, shape, dtype: options.dtype, label: `kv ${i} ${what}` });
      return { ...planned, keys: make('keys'), values: make('values') };
    });
  }

  attend(
    layer: number,
    q: NDArray,
    k: NDArray,
    v: NDArray,
    positions: NDArray,
    options: AttendOptions,
  ): NDArray {
    const at = this.#layers[layer];
    if (at === undefined) {
      throw new IngotError(
        'invalid_argument',
        `KV cache: layer ${layer} of ${this.#layers.length} does not exist`,
      );
    }
    const { keys, values, ring } = at;
    const [newKeys, newValues] = kvWrite(keys, values, k, v, positions, { ring });
    return attention(q, newKeys, newValues, positions, { ...options, ring });
  }

  /**
   * The first position from which a sequence can be continued differently when `written` tokens, counting the longest it
   * has been, are in the cache: earlier keys of windowed layers have been overwritten. Starting over at 0 always works.
   */
  earliestRewind(written: number): number {
    return this.#layers.reduce((earliest, { ring, spec }) => {
      if (ring === 0 || written <= ring) return earliest;
      return Math.max(earliest, written - ring + (spec.window ?? ring) - 1);
    }, 0);
  }

  /** Frees the device memory. */
  dispose(): void {
    for (const { keys, values } of this.#layers) {
      keys.dispose();
      values.dispose();
    }
  }
}

/** A row at position p reads back to p - window + 1 after the last row of its step, p + maxRows - 1, was written. */
function plan(spec: KvLayerSpec, { capacity, maxRows }: StandardCacheOptions): LayerCache {
  const needed = spec.window === undefined || maxRows === undefined ? capacity : spec.window + maxRows - 1;
  return needed < capacity ? { spec, slots: needed, ring: needed } : { spec, slots: capacity, ring: 0 };
}

const layerBytes = ({ spec, slots }: LayerCache, { dtype }: StandardCacheOptions): number =>
  2 * spec.numKvHeads * slots * spec.headDim * bytesPerElement(dtype);
