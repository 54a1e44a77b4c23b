// What a device is: buffers, and compiled programs over them. A device knows no op, no graph and no model. It runs
// dispatches: a kernel reference, buffer slices, and numeric parameters, each constant or taken from the plan's scalars; what a
// kernel's buffers and params mean is in its signature (kernel/signatures.ts).

import type { DType } from '../base/dtype.ts';
import { IngotError } from '../base/errors.ts';
import type { Param } from '../kernel/signature.ts';
import type { WeightLayout } from '../quant/layout.ts';
import type { ExpertStream, ExpertStreamSpec } from './expert-stream.ts';
import type { PageStore, PageStoreSpec } from './page-store.ts';

/** Where the bytes of a dispatch argument are: a bound buffer, or an offset in the program's own arena. */
export type BufferSlice =
  | {
      readonly kind: 'buffer';
      readonly buffer: DeviceBuffer;
      readonly offset: number;
      readonly byteLength: number;
    }
  | { readonly kind: 'arena'; readonly offset: number; readonly byteLength: number };

/** Element view handed to a plain-TypeScript kernel: one typed array per slice (u8 for packed weights). */
export type JsKernel = (args: readonly Uint8Array[], params: readonly number[]) => void;

export type KernelRef =
  | { readonly kind: 'native'; readonly name: string }
  | { readonly kind: 'js'; readonly name: string; readonly run: JsKernel };

export interface Dispatch {
  readonly kernel: KernelRef;
  readonly buffers: readonly BufferSlice[];
  readonly params: readonly Param[];
  /** For messages and profiles: op name and output shape. */
  readonly label: string;
}

export interface ScalarSpec {
  readonly name: string;
  readonly type: 'i32' | 'u32' | 'f32';
}

/** What a buffer of a dispatch holds: elements, or a packed weight. */
export interface OperandType {
  readonly dtype: DType;
  readonly layout?: WeightLayout | undefined;
}

export interface DeviceProgram {
  readonly dispatches: readonly Dispatch[];
  readonly arenaBytes: number;
  /** Where the memory is `separate`: pieces of the arena; every arena slice lies in one of them. */
  readonly arenaSlots?: readonly { readonly offset: number; readonly byteLength: number }[];
  readonly scalars: readonly ScalarSpec[];
  /** False keeps apart what the device could run as phases of one dispatch. Default true. */
  readonly chains?: boolean;
}

export interface DeviceBuffer {
  readonly byteLength: number;
  readonly label: string;
  dispose(): void;
}

/** Bytes of a buffer. */
export type BufferRange = Extract<BufferSlice, { kind: 'buffer' }>;

/**
 * What a run moves around its dispatches: writes, then copies, each in the order given, right before the first dispatch;
 * reads right after the last one and before any run that was submitted later.
 */
export interface Transfers {
  /** The data is captured when the run is submitted; it has the length of `to`. */
  readonly writes?: readonly { readonly to: BufferRange; readonly data: ArrayBufferView }[];
  /** Both sides have one length. */
  readonly copies?: readonly { readonly from: BufferRange; readonly to: BufferRange }[];
  readonly reads?: readonly BufferRange[];
}

/** Buffers that take the place, for one run, of those a program was compiled with: each as large at least. */
export type Rebound = ReadonlyMap<DeviceBuffer, DeviceBuffer>;

export interface CompiledProgram {
  /** Resolves when runs need not wait for compilers, and rejects as the first run would. Absent: they never do. */
  readonly ready?: Promise<void>;
  /**
   * Runs every dispatch in order and resolves to the bytes of `transfers.reads`. Scalars and transfers are captured by the
   * call, and runs of one device are serialised in the order of their calls, so several may be in flight. Rejects with
   * device_failed, and with invalid_argument or device_failed for a transfer outside its buffer, before anything runs.
   */
  run(
    scalars: Readonly<Record<string, number>>,
    transfers?: Transfers,
    rebound?: Rebound,
  ): Promise<readonly Uint8Array[]>;
  /** How many times the device runs several dispatches as phases of one. Absent: never. */
  readonly chains?: number;
  /** Nanoseconds per dispatch of the last run when profiling was on; empty otherwise. */
  profile(): readonly { readonly label: string; readonly ns: number }[];
  /** Reads a slice of the arena after a run (outputs that live there). */
  readArena(offset: number, byteLength: number): Uint8Array;
  dispose(): void;
}

export interface DeviceStatistics {
  readonly liveBuffers: number;
  readonly liveBytes: number;
  readonly peakBytes: number;
}

export interface AllocateOptions {
  /** Will be used piece by piece, and may never be used whole: what is not used should take no memory where that is possible. */
  readonly sparse?: boolean;
}

/** Reads a range of a file in pieces. */
export type ReadFile = (
  path: string,
  offset: number,
  byteLength: number,
) => Iterable<Uint8Array<ArrayBuffer>>;

/** A file that stays open and is read from in pieces, several at a time. */
export interface OpenedFile {
  /** Fills `target` from `offset`. Rejects with what went wrong, in words, also when the file has changed since it was opened. */
  readInto(offset: number, target: Uint8Array): Promise<void>;
  close(): void;
}

/** Throws bad_file when the file cannot be opened or has another length. */
export type OpenFile = (path: string, byteLength: number) => OpenedFile;

/** What `map` throws where there is no way to read files. */
export const noFiles = (path: string): IngotError =>
  new IngotError('unsupported', `${path}: there are no files here; give the bytes`);

export interface Device {
  readonly name: string; // 'cpu' (native addon), 'webgpu', 'js' (plain TypeScript)
  /** Which KernelRef kinds it runs: the lowering picks by this. */
  readonly kernels: KernelRef['kind'];
  /**
   * `shared`: the arena is one piece of memory, and an output may take the place of an operand. `separate`: a dispatch cannot
   * read and write one buffer, so what lives at the same time is planned into slots that do not overlap.
   */
  readonly memory: 'shared' | 'separate';
  /** True when runs take other buffers than their program was compiled with; others refuse `rebound`. */
  readonly rebinds: boolean;
  readonly description: string;
  /** What choices measured on it belong to: devices of a class have the same kernels and are alike. Default: the name. */
  readonly class?: string;
  /** Zero-filled buffer, 64-byte aligned. Throws out_of_memory with sizes. */
  allocate(byteLength: number, label: string, options?: AllocateOptions): DeviceBuffer;
  /** Read-only mapping of a byte range of a file (page-aligned offset), for packed weights. */
  map(path: string, offset: number, byteLength: number, label: string): DeviceBuffer;
  /** Stacks whose matrices are read from files when kernels need them, where the device can do that. Throws bad_file, out_of_memory. */
  streamExperts?(spec: ExpertStreamSpec): ExpertStream;
  /** Pages of which only some are in memory, where the device can do that. Throws bad_file, out_of_memory. */
  openPages?(spec: PageStoreSpec): PageStore;
  write(buffer: DeviceBuffer, offset: number, data: ArrayBufferView): void;
  read(buffer: DeviceBuffer, offset: number, byteLength: number): Promise<Uint8Array>;
  /** The first bytes of a buffer that no run writes, at once: for devices whose memory is the computer's. */
  peek?(buffer: DeviceBuffer, byteLength: number): Uint8Array;
  /**
   * Whether `compile` takes dispatches of this kernel over operands of these types, in the order of its signature (null: absent,
   * or memory of no type). An op whose kernels a device lacks is lowered as its composite.
   */
  supports(kernel: string, operands: readonly (OperandType | null)[]): boolean;
  compile(program: DeviceProgram, options?: { profile?: boolean }): CompiledProgram;
  /** The text that a dispatch runs as, of a program with these scalars, where there is one. */
  source?(dispatch: Dispatch, scalars: readonly string[]): string;
  statistics(): DeviceStatistics;
  dispose(): void;
}
