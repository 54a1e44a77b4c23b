// The memory of layers that see everything when it is smaller than what they keep: pages that a step does not need go to
// a file and come back when they are attended to. A store of the device for each shape of layers (device/page-store.ts).

import { bytesPerElement } from '../base/dtype.ts';
import { IngotError, invariant } from '../base/errors.ts';
import type { Device, DeviceBuffer } from '../device/device.ts';
import type { PageCounters, PageStore } from '../device/page-store.ts';
import type { PagePool } from './page-pool.ts';
import { type PartGroup, shapesOf } from './parts.ts';
import type { StatesPlace } from './slot-states.ts';

export interface TierFolder {
  /** Of the file of pages. */
  readonly folder: string;
  /** Reads and writes at a time; default 8. */
  readonly readers?: number | undefined;
}

export interface TierOptions extends TierFolder {
  /** All pages that there are: one layer of them has to fit in memory. */
  readonly pool: PagePool;
  /** Of memory. */
  readonly bytes: number;
}

/** What a cache has in memory and on disk, and what went to and fro since it was made. */
export type TierCounters = Omit<PageCounters, 'slots' | 'slotsUsed' | 'pageBytes'> & {
  /** Bytes of memory for pages, and those that are used. */
  readonly bytes: number;
  readonly bytesUsed: number;
};

export class TieredStates implements StatesPlace {
  readonly bytes: number;
  readonly #stores: readonly PageStore[] = [];
  /** Of each part: its store, and its place among the layers of that. */
  readonly #places = new Map<number, { readonly store: PageStore; readonly layer: number }>();
  /** Pages that nobody holds any more. */
  readonly #freed = new Set<number>();

  /** @throws IngotError `unsupported` for a device that has no such memory; `out_of_memory`, `bad_file` from it. */
  constructor(device: Device, group: PartGroup, { pool, bytes, folder, readers = 8 }: TierOptions) {
    const shapes = shapesOf(group);
    const least = shapes.reduce((sum, { pageBytes }) => sum + pageBytes * pool.size, 0);
    const whole = shapes.reduce((sum, { pageBytes, parts }) => sum + pageBytes * pool.size * parts.length, 0);
    if (device.openPages === undefined) throw noTier(device.name);
    const stores: PageStore[] = [];
    this.#stores = stores;
    this.bytes = 0;
    try {
      for (const { pageBytes, parts } of shapes) {
        // What is beside the least goes to layers by their number.
        const share = (bytes - least) * ((pageBytes * parts.length * pool.size) / whole);
        const slots = Math.min(
          parts.length * pool.size,
          pool.size + Math.floor(Math.max(0, share) / pageBytes),
        );
        const arrays = (parts[0]?.arrays ?? []).map(({ heads, width, dtype }) => ({
          heads,
          rowBytes: width * bytesPerElement(dtype),
        }));
        const layers = parts.length;
        const store = device.openPages({ layers, pages: pool.size, slots, arrays, folder, readers });
        stores.push(store);
        this.bytes += slots * pageBytes;
        for (const [layer, part] of parts.entries()) {
          this.#places.set(group.parts.indexOf(part), { store, layer });
        }
      }
    } catch (error) {
      this.dispose();
      throw error;
    }
    pool.whenFree((page) => this.#freed.add(page));
  }

  buffer(part: number, array: number): DeviceBuffer {
    const place = this.#places.get(part);
    invariant(place !== undefined, 'a part of the group has a store');
    return place.store.array(place.layer, array);
  }

  flush(): void {
    if (this.#freed.size === 0) return;
    const pages = Int32Array.from(this.#freed);
    this.#freed.clear();
    for (const store of this.#stores) store.discard(pages);
  }

  counters(): readonly PageCounters[] {
    return this.#stores.map((store) => store.counters());
  }

  dispose(): void {
    for (const store of this.#stores) store.dispose();
  }
}

/** All stores of a cache together; undefined for none. */
export function sumCounters(all: readonly PageCounters[]): TierCounters | undefined {
  if (all.length === 0) return undefined;
  const sum = (of: (counters: PageCounters) => number): number => all.reduce((n, x) => n + of(x), 0);
  return {
    bytes: sum(({ slots, pageBytes }) => slots * pageBytes),
    bytesUsed: sum(({ slotsUsed, pageBytes }) => slotsUsed * pageBytes),
    requests: sum((x) => x.requests),
    hits: sum((x) => x.hits),
    reads: sum((x) => x.reads),
    bytesRead: sum((x) => x.bytesRead),
    bytesWritten: sum((x) => x.bytesWritten),
    waits: sum((x) => x.waits),
    waitNs: sum((x) => x.waitNs),
    busyNs: sum((x) => x.busyNs),
  };
}

/** What a device without stores of pages answers. */
export const noTier = (device: string): IngotError =>
  new IngotError(
    'unsupported',
    `kv 'tiered' keeps pages in memory and in a file, which the device '${device}' cannot: it is for the CPU device with the native addon`,
    { details: { argument: 'kv', device } },
  );
