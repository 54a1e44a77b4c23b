// Where a model's experts are while it runs. A loader asks a store for the buffer of each stack; what the buffer stands for
// is the store's business, and kernels do not see it. Nothing here is Node's: a page can have a store too.

import type { DeviceBuffer } from '../device/device.ts';
import type { Eviction, ExpertCounters } from '../device/expert-stream.ts';

/**
 * `resident`: all in memory. `streamed`: as many as a budget holds, the others are read from the file when they are chosen.
 * `hot-set`: streamed, and the most used ones never leave.
 */
export type Residency = 'resident' | 'streamed' | 'hot-set';

/** An expert of one of the layers that have some, counted from 0. */
export interface ExpertId {
  readonly layer: number;
  readonly expert: number;
}

export interface ExpertStoreOptions {
  /** Bytes of memory for experts. */
  readonly bytes: number;
  /** Default `lru`. */
  readonly eviction?: Eviction | undefined;
  /** Reads at a time. */
  readonly readers?: number | undefined;
  /** Experts that are read first and never leave. */
  readonly hot?: readonly ExpertId[] | undefined;
}

export interface ExpertStatus extends ExpertCounters {
  readonly residency: Residency;
  /** Bytes of memory for experts, and what all of them take. */
  readonly bytes: number;
  readonly allBytes: number;
}

export interface ExpertStore {
  readonly residency: Residency;
  /** The buffer of a stack by the name of its tensor; undefined for what is no stack of experts. */
  buffer(name: string): DeviceBuffer | undefined;
  status(): ExpertStatus;
  /** How many rows have chosen each expert, by layer. */
  chosen(): readonly Float64Array[];
  dispose(): void;
}
