// Stacks of matrices that stay in files until a kernel uses one of them: what a device that can do that is told, and what it
// counts. A device without `streamExperts` keeps all weights in memory.

import type { WeightLayout } from '../quant/layout.ts';
import type { DeviceBuffer } from './device.ts';

/** The three matrices of an expert, in the order of its block. */
export const expertParts = ['gate', 'up', 'down'] as const;
export type ExpertPart = (typeof expertParts)[number];

/** Bytes of a file. */
export interface FilePlace {
  /** Index into `ExpertStreamSpec.files`. */
  readonly file: number;
  readonly offset: number;
  readonly byteLength: number;
}

/** One of the matrices of every expert of a layer. */
export interface StreamedMatrix {
  /** Where it starts in an expert's block, at a multiple of 64, and its bytes as packed. */
  readonly offset: number;
  readonly byteLength: number;
  readonly rows: number;
  readonly columns: number;
  readonly layout: WeightLayout;
  /** Source code of docs/layouts.md when the file has another form, which is packed when it has been read. */
  readonly source: number | undefined;
  /** For each expert its parts in files: one, or those of the source form. */
  readonly places: readonly (readonly FilePlace[])[];
}

/** The experts of a layer. */
export interface StreamedLayer {
  readonly name: string;
  readonly experts: number;
  /** Bytes that one expert takes in memory: a multiple of 4096. */
  readonly blockBytes: number;
  readonly matrices: Readonly<Record<ExpertPart, StreamedMatrix>>;
}

/** Which expert leaves memory for another: the one not used for longest, or the one used least often. */
export type Eviction = 'lru' | 'frequency';

export interface ExpertStreamSpec {
  readonly files: readonly { readonly path: string; readonly byteLength: number }[];
  readonly layers: readonly StreamedLayer[];
  /** Bytes of memory for experts. */
  readonly bytes: number;
  /** Reads at a time. */
  readonly readers: number;
  readonly eviction: Eviction;
  /** Experts that stay in memory, read at once. */
  readonly hot: readonly { readonly layer: number; readonly expert: number }[];
  /** How often each expert of each layer was chosen before, for `frequency`. */
  readonly prior?: readonly (readonly number[] | Float64Array)[] | undefined;
}

/** Since the stream was opened. An expert that many rows of a step share is asked for once. */
export interface ExpertCounters {
  /** Experts that fit in memory, and that memory has held so far at most. */
  readonly slots: number;
  readonly slotsUsed: number;
  readonly requests: number;
  /** Requests that found the expert in memory. */
  readonly hits: number;
  readonly reads: number;
  readonly bytesRead: number;
  /** How often, and for how many nanoseconds, a worker waited for a read. */
  readonly waits: number;
  readonly waitNs: number;
  /** Nanoseconds that reads took, those at the same time added up. */
  readonly readNs: number;
  /** Nanoseconds with a read under way: `bytesRead / busyNs` is what the disk gave. */
  readonly busyNs: number;
  /** Choices of rows where others may take their place; those that were swapped for an expert in memory, and those left out. */
  readonly choices: number;
  readonly swapped: number;
  readonly dropped: number;
}

export interface ExpertStream {
  /** Resolves when experts that stay in memory have been read, those that could be. Absent: nobody has to wait. */
  readonly ready?: Promise<void>;
  /** Stands for the stack `[E, N, K]` in programs. Only kernels of experts may read it. */
  stack(layer: number, part: ExpertPart): DeviceBuffer;
  counters(): ExpertCounters;
  /** How many rows have chosen each expert of each layer. */
  chosen(): readonly Float64Array[];
  /**
   * How many other experts single rows chose before they came back to one, as a share of all: how often in each of equal bins. An LRU has
   * the hits of the bins below its share. Undefined where nobody counts.
   */
  distances?(): Float64Array;
  /** Nothing may run afterwards. */
  dispose(): void;
}
