// Memory of sequences of which only some pages are there: what a device that can do that is told, and what it counts. A
// page of a layer holds what the layer keeps of 32 positions; what has no place in memory is in a file.

import type { DeviceBuffer } from './device.ts';

/** An array of every layer: `[heads, pages * 32, rowBytes]`. */
export interface PagedArraySpec {
  readonly heads: number;
  /** Bytes of a row of one head. */
  readonly rowBytes: number;
}

export interface PageStoreSpec {
  readonly layers: number;
  /** Pages that sequences can have. */
  readonly pages: number;
  /** Pages of one layer that memory holds at a time. */
  readonly slots: number;
  readonly arrays: readonly PagedArraySpec[];
  /** Of the file, which has no name and goes with the process. */
  readonly folder: string;
  /** Reads and writes at a time. */
  readonly readers: number;
}

/** Since the store was opened. Pages are those of one layer. */
export interface PageCounters {
  /** Pages that memory holds, and those it has now. */
  readonly slots: number;
  readonly slotsUsed: number;
  /** Bytes of a page. */
  readonly pageBytes: number;
  /** Pages that attention asked for, and those of them that were in memory. */
  readonly requests: number;
  readonly hits: number;
  readonly reads: number;
  readonly bytesRead: number;
  readonly bytesWritten: number;
  /** How often, and for how many nanoseconds, a step waited for pages. */
  readonly waits: number;
  readonly waitNs: number;
  /** Nanoseconds with a read or write under way. */
  readonly busyNs: number;
}

export interface PageStore {
  /** Stands for an array of a layer in programs: only kernels that go by a page table may use it, and transfers. */
  array(layer: number, array: number): DeviceBuffer;
  /** These pages hold nothing any more, as of the runs submitted so far. */
  discard(pages: Int32Array): void;
  counters(): PageCounters;
  /** Nothing may run afterwards. */
  dispose(): void;
}
