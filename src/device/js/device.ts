// The plain-TypeScript executor: a device without native code. It runs JsKernels over byte arrays, in order, and gives
// the event loop a turn every few milliseconds. Slow, always available, and the definition the other devices are held to.

import { IngotError, invariant } from '../../base/errors.ts';
import { Turns } from '../../base/turn.ts';
import type { Param } from '../../kernel/signature.ts';
import {
  type BufferRange,
  type BufferSlice,
  type CompiledProgram,
  type Device,
  type DeviceBuffer,
  type DeviceProgram,
  type DeviceStatistics,
  type Dispatch,
  type JsKernel,
  noFiles,
  type ReadFile,
  type Rebound,
  type Transfers,
} from '../device.ts';

/** Longest time a run holds the event loop before it yields, unless one kernel takes longer. */
const sliceMs = 10;

/** Opens a plain-TypeScript executor. Buffers of one executor cannot be used on another. Without `readFile` it maps no files. */
export const openJsDevice = (options: { readonly readFile?: ReadFile } = {}): Device =>
  new JsDevice(options.readFile);

class JsBuffer implements DeviceBuffer {
  readonly byteLength: number;
  readonly label: string;
  readonly owner: JsDevice;
  readonly #counted: boolean;
  #bytes: Uint8Array | null;
  constructor(owner: JsDevice, bytes: Uint8Array, label: string, counted = true) {
    this.#counted = counted;
    this.owner = owner;
    this.#bytes = bytes;
    this.byteLength = bytes.byteLength;
    this.label = label;
  }
  slice(offset: number, byteLength: number): Uint8Array {
    if (this.#bytes === null) throw new IngotError('disposed', `buffer ${this.label} is disposed`);
    if (!(offset >= 0 && byteLength >= 0 && offset + byteLength <= this.byteLength)) {
      throw new IngotError(
        'invalid_argument',
        `buffer ${this.label}: bytes ${offset} to ${offset + byteLength} are outside its ${this.byteLength}`,
      );
    }
    return this.#bytes.subarray(offset, offset + byteLength);
  }
  dispose(): void {
    if (this.#bytes === null) return;
    this.#bytes = null;
    if (this.#counted) this.owner.freed(this.byteLength);
  }
}

class JsDevice implements Device {
  readonly name = 'js';
  readonly kernels = 'js';
  readonly memory = 'shared';
  readonly rebinds = true;
  readonly description = 'plain TypeScript, one thread';
  readonly #readFile: ReadFile | undefined;
  #live = 0;
  #liveBytes = 0;
  #peakBytes = 0;
  #disposed = false;
  /** Runs of one device are serialised. */
  queue: Promise<void> = Promise.resolve();

  constructor(readFile: ReadFile | undefined) {
    this.#readFile = readFile;
  }

  allocate(byteLength: number, label: string): DeviceBuffer {
    return this.#adopt(zeros(byteLength, label), label);
  }

  map(path: string, offset: number, byteLength: number, label: string): DeviceBuffer {
    if (this.#readFile === undefined) throw noFiles(path);
    const bytes = zeros(byteLength, label);
    let done = 0;
    for (const piece of this.#readFile(path, offset, byteLength)) {
      bytes.set(piece, done);
      done += piece.byteLength;
    }
    return this.#adopt(bytes, label);
  }

  write(buffer: DeviceBuffer, offset: number, data: ArrayBufferView): void {
    const target = this.own(buffer).slice(offset, data.byteLength);
    target.set(new Uint8Array(data.buffer, data.byteOffset, data.byteLength));
  }

  peek(buffer: DeviceBuffer, byteLength: number): Uint8Array {
    return this.own(buffer).slice(0, byteLength).slice();
  }

  async read(buffer: DeviceBuffer, offset: number, byteLength: number): Promise<Uint8Array> {
    return this.own(buffer).slice(offset, byteLength).slice();
  }

  /** It has no kernels: it runs the references of ops. */
  supports(): boolean {
    return false;
  }

  compile(program: DeviceProgram, options: { profile?: boolean } = {}): CompiledProgram {
    this.#check();
    return new JsProgram(this, program, options.profile ?? false);
  }

  statistics(): DeviceStatistics {
    return { liveBuffers: this.#live, liveBytes: this.#liveBytes, peakBytes: this.#peakBytes };
  }

  dispose(): void {
    this.#disposed = true;
  }

  own(buffer: DeviceBuffer): JsBuffer {
    if (buffer instanceof JsBuffer && buffer.owner === this) return buffer;
    throw new IngotError('invalid_argument', `buffer ${buffer.label} belongs to another device`);
  }

  freed(byteLength: number): void {
    this.#live--;
    this.#liveBytes -= byteLength;
  }

  #adopt(bytes: Uint8Array, label: string): DeviceBuffer {
    this.#check();
    this.#live++;
    this.#liveBytes += bytes.byteLength;
    this.#peakBytes = Math.max(this.#peakBytes, this.#liveBytes);
    return new JsBuffer(this, bytes, label);
  }

  #check(): void {
    if (this.#disposed) throw new IngotError('disposed', 'the js device is disposed');
  }
}

function zeros(byteLength: number, label: string): Uint8Array {
  try {
    return new Uint8Array(byteLength);
  } catch (cause) {
    throw new IngotError('out_of_memory', `cannot allocate ${byteLength} bytes for ${label}`, {
      cause,
      details: { byteLength, label },
    });
  }
}

/** A dispatch with its byte views. */
interface BoundDispatch {
  readonly label: string;
  readonly run: JsKernel;
  readonly args: readonly Uint8Array[];
  readonly params: readonly Param[];
}

/** Transfers with their byte views: writes and copies in order, then reads. */
interface BoundTransfers {
  readonly moves: readonly { readonly from: Uint8Array; readonly to: Uint8Array }[];
  readonly reads: readonly Uint8Array[];
}

function bindTransfers(
  device: JsDevice,
  { writes = [], copies = [], reads = [] }: Transfers,
): BoundTransfers {
  const bytesOf = ({ buffer, offset, byteLength }: BufferRange): Uint8Array =>
    device.own(buffer).slice(offset, byteLength);
  const written = writes.map(({ to, data }) => ({
    from: new Uint8Array(data.buffer, data.byteOffset, data.byteLength).slice(),
    to: bytesOf(to),
  }));
  const moves = [...written, ...copies.map(({ from, to }) => ({ from: bytesOf(from), to: bytesOf(to) }))];
  for (const { from, to } of moves) {
    if (from.byteLength === to.byteLength) continue;
    throw new IngotError('invalid_argument', `a transfer of ${from.byteLength} bytes into ${to.byteLength}`);
  }
  return { moves, reads: reads.map(bytesOf) };
}

class JsProgram implements CompiledProgram {
  readonly #device: JsDevice;
  /** Not counted among the buffers, as on other devices: it goes with the program. */
  readonly #arena: JsBuffer;
  readonly #dispatches: readonly Dispatch[];
  /** Made by the first run over the program's own buffers. */
  #bound: readonly BoundDispatch[] | undefined;
  readonly #scalars: readonly string[];
  readonly #profiling: boolean;
  #profile: { label: string; ns: number }[] = [];
  #disposed = false;

  constructor(device: JsDevice, program: DeviceProgram, profiling: boolean) {
    this.#device = device;
    this.#profiling = profiling;
    this.#scalars = program.scalars.map((s) => s.name);
    this.#arena = new JsBuffer(device, zeros(program.arenaBytes, 'arena'), 'arena', false);
    this.#dispatches = program.dispatches;
  }

  async run(
    scalars: Readonly<Record<string, number>>,
    transfers: Transfers = {},
    rebound?: Rebound,
  ): Promise<readonly Uint8Array[]> {
    if (this.#disposed) throw new IngotError('disposed', 'the program is disposed');
    const moves = bindTransfers(this.#device, transfers);
    const values = { ...scalars };
    if (rebound === undefined) this.#bound ??= this.#bindAll();
    const dispatches = (rebound === undefined ? this.#bound : undefined) ?? this.#bindAll(rebound);
    const result = this.#device.queue.then(() => this.#execute(dispatches, values, moves));
    this.#device.queue = result.then(
      () => undefined,
      () => undefined,
    );
    return result;
  }

  #bindAll(rebound?: Rebound): readonly BoundDispatch[] {
    return this.#dispatches.map(({ label, kernel, buffers, params }) => {
      invariant(kernel.kind === 'js', `dispatch ${label} has a ${kernel.kind} kernel on the js device`);
      return { label, run: kernel.run, args: buffers.map((b) => this.#bind(b, rebound)), params };
    });
  }

  async #execute(
    dispatches: readonly BoundDispatch[],
    scalars: Readonly<Record<string, number>>,
    { moves, reads }: BoundTransfers,
  ): Promise<readonly Uint8Array[]> {
    for (const name of this.#scalars) {
      if (scalars[name] === undefined) throw new IngotError('invalid_argument', `scalar ${name} is missing`);
    }
    for (const { from, to } of moves) to.set(from);
    if (this.#profiling) this.#profile = [];
    const turns = new Turns(sliceMs);
    for (const d of dispatches) {
      const turn = turns.next();
      if (turn !== undefined) await turn; // no microtask between dispatches
      const start = performance.now();
      this.#dispatch(d, scalars);
      if (this.#profiling) {
        this.#profile.push({ label: d.label, ns: (performance.now() - start) * 1e6 });
      }
    }
    return reads.map((bytes) => bytes.slice());
  }

  #dispatch(d: BoundDispatch, scalars: Readonly<Record<string, number>>): void {
    const params = d.params.map((p) =>
      typeof p === 'number' ? p : (scalars[p.scalar] as number) * p.mul + p.add,
    );
    try {
      d.run(d.args, params);
    } catch (cause) {
      const reason = cause instanceof Error ? cause.message : String(cause);
      throw new IngotError('device_failed', `${d.label}: ${reason}`, { cause });
    }
  }

  #bind(slice: BufferSlice, rebound?: Rebound): Uint8Array {
    const buffer = slice.kind === 'arena' ? this.#arena : (rebound?.get(slice.buffer) ?? slice.buffer);
    return this.#device.own(buffer).slice(slice.offset, slice.byteLength);
  }

  profile(): readonly { readonly label: string; readonly ns: number }[] {
    return this.#profile;
  }

  readArena(offset: number, byteLength: number): Uint8Array {
    return this.#device.own(this.#arena).slice(offset, byteLength).slice();
  }

  dispose(): void {
    if (this.#disposed) return;
    this.#disposed = true;
    this.#arena.dispose();
  }
}
