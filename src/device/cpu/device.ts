// The CPU device: buffers in native memory, programs replayed by the addon's worker pool in one call per run.

import { env } from '../../base/env.ts';
import { type ErrorCode, FileFormatError, IngotError, invariant } from '../../base/errors.ts';
import type { Param } from '../../kernel/signature.ts';
import type {
  BufferRange,
  CompiledProgram,
  Device,
  DeviceBuffer,
  DeviceProgram,
  DeviceStatistics,
  OperandType,
  Rebound,
  ScalarSpec,
  Transfers,
} from '../device.ts';
import type { ExpertStreamSpec } from '../expert-stream.ts';
import type { PageStoreSpec } from '../page-store.ts';
import { type Addon, loadAddon, type NativeInfo, type NativeMemory, type NativeProgram } from './addon.ts';
import { CpuExpertStream } from './experts.ts';
import { CpuPageStore } from './pages.ts';

export interface CpuDeviceOptions {
  /** Worker threads; default: one per physical core this process may use. */
  readonly threads?: number | undefined;
  /** Forces an instruction-set level: scalar, avx2, avx512, avx512bf16, amx, neon, neon_i8mm. */
  readonly level?: string | undefined;
}

class CpuBuffer implements DeviceBuffer {
  readonly byteLength: number;
  readonly label: string;
  readonly #device: CpuDevice;
  #memory: NativeMemory | undefined;

  /** Bytes of memory it takes: none where it stands for experts in files. */
  readonly #held: number;

  constructor(
    device: CpuDevice,
    memory: NativeMemory,
    label: string,
    { byteLength, held = byteLength }: { readonly byteLength: number; readonly held?: number },
  ) {
    this.#device = device;
    this.#held = held;
    this.#memory = memory;
    this.byteLength = byteLength;
    this.label = label;
  }

  get memory(): NativeMemory {
    if (!this.#memory) throw new IngotError('disposed', `buffer '${this.label}' was disposed`);
    return this.#memory;
  }

  /** Programs that use the buffer keep its memory alive until they are disposed too. */
  dispose(): void {
    if (!this.#memory) return;
    this.#device.addon.freeMemory(this.#memory);
    this.#memory = undefined;
    this.#device.release(this.#held);
  }
}

/** How messages of the addon begin that are about a mapped file: kLostFile of native/runtime/napi_call.h. */
const lostFile = 'lost file: ';

/** How messages of the addon begin that are about a store of pages. */
const pages = 'kv pages: ';

const pageCode = (problem: string): ErrorCode => {
  if (problem.startsWith('out of memory')) return 'out_of_memory';
  return problem.endsWith('No space left on device') ? 'disk_full' : 'bad_file';
};

const nativeError = (cause: unknown, what: string): IngotError => {
  const message = cause instanceof Error ? cause.message : String(cause);
  if (message.startsWith(lostFile)) {
    return new FileFormatError(
      message.slice(lostFile.length),
      'size',
      'the file became shorter, or could not be read any more, while its weights were in use: put it back and load the model again',
      { cause },
    );
  }
  const code = message.startsWith('out of memory')
    ? 'out_of_memory'
    : message.startsWith('experts: ')
      ? 'bad_file'
      : message.startsWith(pages)
        ? pageCode(message.slice(pages.length))
        : 'device_failed';
  return new IngotError(code, `${what}: ${message}`, { cause });
};

/** Encodes one parameter as (scalar index or -1, factor, constant or term). */
function encodeParam(code: number[], param: Param, scalars: ReadonlyMap<string, number>): void {
  if (typeof param === 'number') {
    code.push(-1, 0, param);
    return;
  }
  const index = scalars.get(param.scalar);
  invariant(index !== undefined, `dispatch uses scalar '${param.scalar}' that the program does not declare`);
  code.push(index, param.mul, param.add);
}

const noTransfers = { memories: [], slices: new Float64Array(3), data: [] };

/** Transfers as the addon takes them: see Addon.run. */
function encodeTransfers(device: CpuDevice, { writes = [], copies = [], reads = [] }: Transfers) {
  const memories: NativeMemory[] = [];
  const slices = new Float64Array(3 + 2 * (writes.length + 2 * copies.length + reads.length));
  slices.set([writes.length, copies.length, reads.length]);
  const add = ({ buffer, offset, byteLength }: BufferRange): void => {
    const at = 3 + 2 * memories.length;
    slices[at] = offset;
    slices[at + 1] = byteLength;
    memories.push(device.memoryOf(buffer));
  };
  for (const { to } of writes) add(to);
  for (const { from, to } of copies) {
    add(from);
    add(to);
  }
  for (const range of reads) add(range);
  return { memories, slices, data: writes.map((w) => w.data) };
}

/** The bytes of each read: they start at multiples of 8. */
function splitReads(reads: readonly BufferRange[], bytes = new ArrayBuffer(0)): readonly Uint8Array[] {
  let at = 0;
  return reads.map(({ byteLength }) => {
    const start = at;
    at += Math.ceil(byteLength / 8) * 8;
    return new Uint8Array(bytes, start, byteLength);
  });
}

class CpuProgram implements CompiledProgram {
  readonly #device: CpuDevice;
  readonly #labels: readonly string[];
  readonly #scalars: readonly ScalarSpec[];
  readonly #values: Float64Array;
  /** What the program was compiled with, in the order the addon knows. */
  readonly #buffers: readonly DeviceBuffer[];
  readonly #profile: boolean;
  #program: NativeProgram | undefined;

  constructor(device: CpuDevice, program: DeviceProgram, profile: boolean) {
    this.#device = device;
    this.#profile = profile;
    this.#labels = program.dispatches.map((d) => d.label);
    this.#scalars = program.scalars;
    this.#values = new Float64Array(program.scalars.length);
    const kernels = new Map<string, number>();
    const buffers = new Map<DeviceBuffer, number>();
    const scalars = new Map(program.scalars.map((s, i) => [s.name, i]));
    const indexOf = <K>(map: Map<K, number>, key: K): number => {
      const known = map.get(key);
      if (known !== undefined) return known;
      map.set(key, map.size);
      return map.size - 1;
    };
    const code: number[] = [];
    for (const { kernel, buffers: slices, params, label } of program.dispatches) {
      invariant(kernel.kind === 'native', `the CPU device cannot run the ${kernel.kind} kernel of ${label}`);
      code.push(indexOf(kernels, kernel.name), slices.length);
      for (const slice of slices) {
        const index = slice.kind === 'arena' ? -1 : indexOf(buffers, slice.buffer);
        code.push(index, slice.offset, slice.byteLength);
      }
      code.push(params.length);
      for (const param of params) encodeParam(code, param, scalars);
    }
    this.#buffers = [...buffers.keys()];
    try {
      this.#program = device.addon.compile(
        [...kernels.keys()],
        this.#buffers.map((b) => device.memoryOf(b)),
        program.arenaBytes,
        scalars.size,
        Float64Array.from(code),
      );
    } catch (cause) {
      throw nativeError(cause, 'compiling a program for the CPU');
    }
  }

  get #native(): NativeProgram {
    if (!this.#program) throw new IngotError('disposed', 'the program was disposed');
    return this.#program;
  }

  async run(
    scalars: Readonly<Record<string, number>>,
    transfers?: Transfers,
    rebound?: Rebound,
  ): Promise<readonly Uint8Array[]> {
    for (let i = 0; i < this.#scalars.length; i++) {
      const { name, type } = this.#scalars[i] as ScalarSpec;
      const value = scalars[name];
      if (value === undefined || Number.isNaN(value) || (type !== 'f32' && !Number.isInteger(value))) {
        throw new IngotError(
          'invalid_argument',
          `scalar '${name}' must be ${type === 'f32' ? 'a number' : 'an integer'}, got ${value}`,
        );
      }
      this.#values[i] = value;
    }
    try {
      const { addon } = this.#device;
      if (transfers === undefined && rebound === undefined) {
        await addon.run(this.#native, this.#values, this.#profile);
        return [];
      }
      const { memories, slices, data } =
        transfers === undefined ? noTransfers : encodeTransfers(this.#device, transfers);
      const moved = [this.#native, this.#values, this.#profile, memories, slices, data] as const;
      const read = await (rebound === undefined
        ? addon.run(...moved)
        : addon.run(...moved, this.#reboundMemories(rebound)));
      return splitReads(transfers?.reads ?? [], read);
    } catch (cause) {
      if (cause instanceof IngotError) throw cause;
      throw nativeError(cause, 'running on the CPU');
    }
  }

  #reboundMemories(rebound: Rebound): readonly NativeMemory[] {
    return this.#buffers.map((b) => this.#device.memoryOf(rebound.get(b) ?? b));
  }

  profile(): readonly { readonly label: string; readonly ns: number }[] {
    if (!this.#profile) return [];
    const ns = this.#device.addon.profile(this.#native);
    return this.#labels.map((label, i) => ({ label, ns: ns[i] ?? 0 }));
  }

  readArena(offset: number, byteLength: number): Uint8Array {
    return this.#device.addon.readArena(this.#native, offset, byteLength);
  }

  dispose(): void {
    if (this.#program) this.#device.addon.freeProgram(this.#program);
    this.#program = undefined;
  }
}

/** The CPU through the native addon. See `openCpuDevice`. */
export class CpuDevice implements Device {
  readonly name = 'cpu';
  readonly kernels = 'native';
  readonly memory = 'shared';
  readonly rebinds = true;
  readonly description: string;
  readonly class: string;
  readonly addon: Addon;
  readonly info: NativeInfo;
  #liveBuffers = 0;
  #liveBytes = 0;
  #peakBytes = 0;

  constructor(addon: Addon) {
    this.addon = addon;
    this.info = addon.info();
    this.class = `cpu ${this.info.level}`;
    this.description = `${this.info.cpu}, ${this.info.threads} threads, ${this.info.level}`;
  }

  memoryOf(buffer: DeviceBuffer): NativeMemory {
    if (!(buffer instanceof CpuBuffer)) {
      throw new IngotError('invalid_argument', `buffer '${buffer.label}' belongs to another device`);
    }
    return buffer.memory;
  }

  #adopt(memory: NativeMemory, byteLength: number, label: string, held = byteLength): DeviceBuffer {
    this.#liveBuffers++;
    this.#liveBytes += held;
    this.#peakBytes = Math.max(this.#peakBytes, this.#liveBytes);
    return new CpuBuffer(this, memory, label, { byteLength, held });
  }

  /** Called by a buffer when it is disposed. */
  release(byteLength: number): void {
    this.#liveBuffers--;
    this.#liveBytes -= byteLength;
  }

  allocate(byteLength: number, label: string, { sparse = false } = {}): DeviceBuffer {
    try {
      return this.#adopt(this.addon.allocate(byteLength, sparse), byteLength, label);
    } catch (cause) {
      throw nativeError(cause, `allocating ${byteLength} bytes for '${label}' (${this.#liveBytes} in use)`);
    }
  }

  map(path: string, offset: number, byteLength: number, label: string): DeviceBuffer {
    try {
      return this.#adopt(this.addon.map(path, offset, byteLength), byteLength, label);
    } catch (cause) {
      throw nativeError(cause, `mapping ${byteLength} bytes at ${offset} of ${path} for '${label}'`);
    }
  }

  streamExperts(spec: ExpertStreamSpec): CpuExpertStream {
    return new CpuExpertStream(this.addon, spec, (memory, label, byteLength) =>
      this.#adopt(memory, byteLength, label, 0),
    );
  }

  openPages(spec: PageStoreSpec): CpuPageStore {
    return new CpuPageStore(this.addon, spec, (memory, label, byteLength) =>
      this.#adopt(memory, byteLength, label, 0),
    );
  }

  write(buffer: DeviceBuffer, offset: number, data: ArrayBufferView): void {
    try {
      this.addon.write(this.memoryOf(buffer), offset, data);
    } catch (cause) {
      if (cause instanceof IngotError) throw cause;
      throw nativeError(
        cause,
        `writing ${data.byteLength} bytes at ${offset} of '${buffer.label}' (${buffer.byteLength} bytes)`,
      );
    }
  }

  peek(buffer: DeviceBuffer, byteLength: number): Uint8Array {
    return this.#read(buffer, 0, byteLength);
  }

  async read(buffer: DeviceBuffer, offset: number, byteLength: number): Promise<Uint8Array> {
    return this.#read(buffer, offset, byteLength);
  }

  #read(buffer: DeviceBuffer, offset: number, byteLength: number): Uint8Array {
    try {
      return this.addon.read(this.memoryOf(buffer), offset, byteLength);
    } catch (cause) {
      if (cause instanceof IngotError) throw cause;
      throw nativeError(
        cause,
        `reading ${byteLength} bytes at ${offset} of '${buffer.label}' (${buffer.byteLength} bytes)`,
      );
    }
  }

  supports(kernel: string, operands: readonly (OperandType | null)[]): boolean {
    const half = operands.some((o) => o?.layout === undefined && (o?.dtype === 'f16' || o?.dtype === 'bf16'));
    return this.addon.hasKernel(kernel) && !(half && inSingle.has(kernel));
  }

  compile(program: DeviceProgram, options: { profile?: boolean } = {}): CompiledProgram {
    return new CpuProgram(this, program, options.profile ?? false);
  }

  statistics(): DeviceStatistics {
    return { liveBuffers: this.#liveBuffers, liveBytes: this.#liveBytes, peakBytes: this.#peakBytes };
  }

  /** Buffers and programs are owned by their creators; the worker pool is shared and sleeps when idle. */
  dispose(): void {}
}

/** Kernels that read f16 and bf16 as they are on GPUs, and f32 only here. */
const inSingle: ReadonlySet<string> = new Set(['reduce', 'softmax', 'rms_norm', 'layer_norm']);

/**
 * Opens the CPU device and starts its worker pool; without options, with what `INGOT_THREADS` and `INGOT_LEVEL` say.
 * @throws IngotError `unsupported` when the addon is missing, `invalid_argument` for a level this CPU does not have.
 */
export function openCpuDevice(options: CpuDeviceOptions = env): CpuDevice {
  const addon = loadAddon();
  try {
    addon.configure(options.threads ?? 0, options.level ?? '');
  } catch (cause) {
    throw new IngotError('invalid_argument', `cannot start the CPU device: ${(cause as Error).message}`, {
      cause,
    });
  }
  return new CpuDevice(addon);
}
