// Where a model's experts are while it runs. A loader asks a store for the buffer of each stack; what the buffer stands for
// is the store's business, and kernels do not see it. Nothing here is Node's: a page can have a store too.

import type { DeviceBuffer } from '../device/device.ts';
import type { Eviction, ExpertCounters } from '../device/expert-stream.ts';
import type { ExpertId, LayerRouting } from './routing.ts';

/**
 * `resident`: all in memory. `streamed`: as many as a budget holds, the others are read from the file when they are chosen.
 * `hot-set`: streamed, and the most used ones never leave.
 */
export type Residency = 'resident' | 'streamed' | 'hot-set';

export interface ExpertStoreOptions {
  /** Bytes of memory for experts. */
  readonly bytes: number;
  /** Default `lru`. */
  readonly eviction?: Eviction | undefined;
  /** Reads at a time. */
  readonly readers?: number | undefined;
  /** Experts that are read first and never leave. */
  readonly hot?: readonly ExpertId[] | undefined;
  /** How often each expert of each layer was chosen before: where `frequency` begins. */
  readonly prior?: readonly (readonly number[])[] | undefined;
}

export interface ExpertStatus extends ExpertCounters {
  readonly residency: Residency;
  /** Bytes of memory for experts, and what all of them take. */
  readonly bytes: number;
  readonly allBytes: number;
  /** Experts that never leave. */
  readonly hot: number;
}

export interface ExpertStore {
  /** Resolves when it can be used. */
  readonly ready: Promise<void>;
  readonly residency: Residency;
  /** The buffer of a stack by the name of its tensor; undefined for what is no stack of experts. */
  buffer(name: string): DeviceBuffer | undefined;
  status(): ExpertStatus;
  /** How many rows have chosen each expert, by layer, since it was opened. */
  routing(): readonly LayerRouting[];
  /** See `ExpertStream.distances`. */
  distances(): readonly number[];
  dispose(): void;
}
