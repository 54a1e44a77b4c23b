// Pages that the addon keeps in memory or in a file (native/runtime/page_store.h).

import { IngotError } from '../../base/errors.ts';
import type { DeviceBuffer } from '../device.ts';
import type { PageCounters, PageStore, PageStoreSpec } from '../page-store.ts';
import type { Addon, NativeMemory, NativePages } from './addon.ts';
import { byName } from './counters.ts';

/** What tests do to reads and writes: shares of system calls, and the longest delay in microseconds. */
export interface PageFaults {
  readonly short?: number;
  readonly failRead?: number;
  readonly failWrite?: number;
  readonly delayUs?: number;
  readonly seed?: number;
}

type Adopt = (memory: NativeMemory, label: string, byteLength: number) => DeviceBuffer;

/** In the order of `pageCounters` (native/runtime/napi_pages.h). */
const counterNames = [
  'slots',
  'slotsUsed',
  'pageBytes',
  'requests',
  'hits',
  'reads',
  'bytesRead',
  'bytesWritten',
  'waits',
  'waitNs',
  'busyNs',
] as const satisfies readonly (keyof PageCounters)[];

/** A store over the addon. `adopt` makes buffers of the device out of the addon's memories. */
export class CpuPageStore implements PageStore {
  readonly #addon: Addon;
  readonly #spec: PageStoreSpec;
  readonly #adopt: Adopt;
  readonly #buffers: DeviceBuffer[] = [];
  #store: NativePages | undefined;

  constructor(addon: Addon, spec: PageStoreSpec, adopt: Adopt) {
    this.#addon = addon;
    this.#spec = spec;
    this.#adopt = adopt;
    const { layers, pages, slots, readers, arrays, folder } = spec;
    try {
      const forms = arrays.flatMap(({ heads, rowBytes }) => [heads, rowBytes]);
      this.#store = addon.openPages(folder, Float64Array.from([layers, pages, slots, readers, ...forms]));
    } catch (cause) {
      const message = cause instanceof Error ? cause.message : String(cause);
      const code = message.startsWith('out of memory') ? 'out_of_memory' : 'bad_file';
      throw new IngotError(code, `pages of the KV cache: ${message}`, { cause });
    }
  }

  get #native(): NativePages {
    if (this.#store === undefined) throw new IngotError('disposed', 'the pages were disposed');
    return this.#store;
  }

  array(layer: number, array: number): DeviceBuffer {
    const { heads = 0, rowBytes = 0 } = this.#spec.arrays[array] ?? {};
    const memory = this.#addon.pagedArray(this.#native, layer, array);
    const buffer = this.#adopt(memory, `pages of layer ${layer}`, heads * this.#spec.pages * 32 * rowBytes);
    this.#buffers.push(buffer);
    return buffer;
  }

  discard(pages: Int32Array): void {
    void this.#addon.discardPages(this.#native, pages);
  }

  counters(): PageCounters {
    return byName(counterNames, this.#addon.pageCounters(this.#native));
  }

  /** For tests: what reads and writes suffer from now on. */
  inject({ short = 0, failRead = 0, failWrite = 0, delayUs = 0, seed = 1 }: PageFaults): void {
    this.#addon.injectPageFaults(this.#native, short, failRead, failWrite, delayUs, seed);
  }

  dispose(): void {
    for (const buffer of this.#buffers.splice(0)) buffer.dispose();
    if (this.#store !== undefined) this.#addon.freePages(this.#store);
    this.#store = undefined;
  }
}
