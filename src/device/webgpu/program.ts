// A compiled program on WebGPU: a run records its transfers and one compute pass with every dispatch, submits them at once,
// and reads back. While the GPU has nothing to do, a long run is submitted in parts: it begins while the rest is recorded.

import { IngotError } from '../../base/errors.ts';
import { failureMessage, statusBytes } from '../../kernel/wgsl/status.ts';
import type { BufferSlice, CompiledProgram, DeviceProgram, ScalarSpec, Transfers } from '../device.ts';
import { type BoundProgram, bindProgram } from './bind.ts';
import { checkedRange } from './buffer.ts';
import type { WebGpuDevice } from './device.ts';
import { ExpertSteps, type Unwaited } from './expert-steps.ts';
import { isStreamed, type StreamedProgram, streamedProgram } from './expert-uses.ts';
import type { Place } from './moves.ts';
import { allCommands, DispatchRecorder, recordCommand } from './record.ts';
import { SlotNumbers } from './slot-numbers.ts';
import { DispatchTimer } from './timer.ts';
import { type CheckedTransfers, checkTransfers, recordMoves } from './transfers.ts';

/** Commands of the first part of a run, and most of a later one. Recording and submitting one takes 7 us, running it more. */
const firstPart = 8;
const largestPart = 96;

export class WebGpuProgram implements CompiledProgram {
  readonly #device: WebGpuDevice;
  readonly #bound: BoundProgram;
  readonly #scalars: readonly ScalarSpec[];
  readonly #memory: { readonly buffer: GPUBuffer; readonly bytes: number }[] = [];
  readonly #timer: DispatchTimer | undefined;
  #dispatches: readonly DispatchRecorder[] | undefined;
  /** Where the program stops for experts; undefined when all are in memory. */
  readonly #streamed: StreamedProgram | undefined;
  readonly #lookUp: SlotNumbers | undefined;
  readonly ready: Promise<void>;
  readonly chains: number;
  #disposed = false;

  constructor(device: WebGpuDevice, program: DeviceProgram, profile: boolean) {
    this.#device = device;
    this.#scalars = program.scalars;
    // A run that stops for experts has no times.
    const stops = isStreamed(program);
    this.#timer = profile && device.canTime && !stops ? new DispatchTimer(device.gpu) : undefined;
    try {
      this.#streamed = stops
        ? streamedProgram(program, (bytes) => device.allocateBuffer(bytes, 'slots of experts'))
        : undefined;
      const { uses } = this.#streamed ?? {};
      this.#lookUp = this.#streamed && this.#slotNumbers(this.#streamed);
      this.#bound = bindProgram(
        device.bindContext({
          create: (bytes, label) => this.#create(bytes, label),
          keep: (buffer) => this.#memory.push({ buffer, bytes: 0 }),
        }),
        this.#streamed?.program ?? program,
        (at) => uses?.has(at) === true,
      );
    } catch (error) {
      this.dispose();
      throw error;
    }
    this.chains = this.#bound.chains;
    this.ready = this.#bound.dispatches.then((dispatches) => {
      this.#dispatches = dispatches.map((d) => new DispatchRecorder(d));
    });
    this.ready.catch(() => undefined); // told by the first run
  }

  async run(
    scalars: Readonly<Record<string, number>>,
    transfers: Transfers = {},
  ): Promise<readonly Uint8Array[]> {
    this.#check();
    const block = packScalars(this.#scalars, scalars);
    const checked = checkTransfers(this.#device, transfers);
    const ready = this.#dispatches === undefined ? this.ready : undefined;
    if (this.#streamed !== undefined)
      return this.#device.inSteps(ready, () => this.#submitSteps(scalars, block, checked));
    return this.#device.inOrder(ready, () => this.#submit(scalars, block, checked));
  }

  #submit(
    scalars: Readonly<Record<string, number>>,
    block: Uint32Array<ArrayBuffer>,
    transfers: CheckedTransfers,
  ): Promise<readonly Uint8Array[]> {
    const { first, staging } = this.#begin(block, transfers);
    const { encoder, collect } = this.#recordDispatches(first, scalars);
    return this.#end(encoder, staging, transfers, { collect });
  }

  /** The same in steps; resolves when all of them are submitted. */
  async #submitSteps(
    scalars: Readonly<Record<string, number>>,
    block: Uint32Array<ArrayBuffer>,
    transfers: CheckedTransfers,
  ): Promise<() => Promise<readonly Uint8Array[]>> {
    const { first, staging } = this.#begin(block, transfers);
    const { gpu, readback } = this.#device;
    const { uses, numbers } = this.#streamed as StreamedProgram;
    const lookUp = this.#lookUp as SlotNumbers;
    const find = (slice: BufferSlice): Place => this.#find(slice);
    const parts = { gpu, readback, uses, numbers: numbers.gpu, lookUp, find, check: () => this.#check() };
    const steps = new ExpertSteps(parts, first);
    let encoder: GPUCommandEncoder;
    try {
      encoder = await steps.record(allCommands(this.#dispatches ?? [], scalars), scalars);
    } catch (error) {
      for (const buffer of staging) buffer.destroy();
      throw error;
    }
    const result = this.#end(encoder, staging, transfers, { unwaited: steps.unwaited });
    return () => result;
  }

  /** The encoder of a run with its writes and copies. */
  #begin(
    block: Uint32Array<ArrayBuffer>,
    transfers: CheckedTransfers,
  ): { readonly first: GPUCommandEncoder; readonly staging: readonly GPUBuffer[] } {
    this.#check();
    const { gpu, mover } = this.#device;
    const { status } = this.#bound;
    gpu.queue.writeBuffer(this.#bound.scalars, 0, block);
    const first = gpu.createCommandEncoder();
    const staging = recordMoves(gpu, mover, first, transfers);
    if (status !== undefined) first.clearBuffer(status);
    return { first, staging };
  }

  /** Submits the rest of a run, with its reads. */
  #end(
    encoder: GPUCommandEncoder,
    staging: readonly GPUBuffer[],
    transfers: CheckedTransfers,
    after: AfterRun,
  ): Promise<readonly Uint8Array[]> {
    const { gpu, readback } = this.#device;
    const { status } = this.#bound;
    const reads = [...transfers.reads];
    if (status !== undefined) reads.push({ gpu: status, offset: 0, length: statusBytes });
    for (const { use, rows } of after.unwaited ?? []) {
      const { gpu: log } = (this.#streamed as StreamedProgram).log;
      reads.push({ gpu: log, offset: 4 * use.logAt, length: 4 * rows * use.topk });
    }
    const result = readback.record(encoder, reads);
    gpu.queue.submit([encoder.finish()]);
    for (const buffer of staging) buffer.destroy();
    return this.#finish(result, transfers.reads.length, after);
  }

  async #finish(
    result: (() => Promise<readonly Uint8Array[]>) | undefined,
    reads: number,
    { collect, unwaited = [] }: AfterRun,
  ): Promise<readonly Uint8Array[]> {
    const bytes = await this.#device.settle(result?.() ?? this.#idle());
    await collect?.();
    const own = bytes.slice(reads);
    const words = this.#bound.status && own.shift();
    const message = words && failureMessage(new Uint32Array(words.slice().buffer));
    if (message !== undefined) throw new IngotError('device_failed', message);
    for (const [i, { use }] of unwaited.entries())
      use.stream.chose(use.layer, new Int32Array((own[i] ?? new Uint8Array(0)).slice().buffer), true);
    return bytes.slice(0, reads);
  }

  async #idle(): Promise<readonly Uint8Array[]> {
    await this.#device.gpu.queue.onSubmittedWorkDone();
    return [];
  }

  /** Returns the encoder of what follows, and what reads the times of the dispatches, if they are recorded. */
  #recordDispatches(
    first: GPUCommandEncoder,
    scalars: Readonly<Record<string, number>>,
  ): { readonly encoder: GPUCommandEncoder; readonly collect?: (() => Promise<void>) | undefined } {
    const dispatches = this.#dispatches ?? [];
    if (dispatches.length === 0) return { encoder: first };
    const commands = allCommands(dispatches, scalars);
    if (this.#timer !== undefined) return { encoder: first, collect: this.#timer.record(first, commands) };
    const { gpu, idle } = this.#device;
    let encoder = first;
    let pass = encoder.beginComputePass();
    let part = idle ? firstPart : Number.POSITIVE_INFINITY;
    let left = part;
    for (const d of commands) {
      for (const command of d.commands) {
        if (left-- === 0) {
          pass.end();
          gpu.queue.submit([encoder.finish()]);
          encoder = gpu.createCommandEncoder();
          pass = encoder.beginComputePass();
          part = Math.min(3 * part, largestPart);
          left = part - 1;
        }
        recordCommand(pass, command);
      }
    }
    pass.end();
    return { encoder };
  }

  /** One entry per dispatch, however many passes it took. */
  profile(): readonly { readonly label: string; readonly ns: number }[] {
    return this.#timer?.times ?? [];
  }

  readArena(): Uint8Array {
    throw new IngotError(
      'unsupported',
      'the arena of a WebGPU program cannot be read; make its value an output',
    );
  }

  dispose(): void {
    if (this.#disposed) return;
    this.#disposed = true;
    for (const { buffer, bytes } of this.#memory.splice(0)) {
      buffer.destroy();
      this.#device.releaseBytes(bytes);
    }
    this.#timer?.dispose();
    this.#lookUp?.dispose();
    this.#streamed?.numbers.dispose();
    this.#streamed?.log.dispose();
  }

  #slotNumbers({ numbers, log }: StreamedProgram): SlotNumbers {
    const { gpu, caps } = this.#device;
    return new SlotNumbers({
      gpu,
      alignment: caps.offsetAlignment,
      numbers: numbers.gpu,
      log: log.gpu,
      find: ({ ids }) => this.#find(ids),
    });
  }

  #find(slice: BufferSlice): Place {
    if (slice.kind === 'arena') return this.#bound.arena(slice.offset, slice.byteLength);
    return { gpu: checkedRange(this.#device, slice).gpu, offset: slice.offset };
  }

  #create(bytes: number, label: string): GPUBuffer {
    const buffer = this.#device.createBuffer(bytes, label);
    this.#memory.push({ buffer, bytes });
    return buffer;
  }

  #check(): void {
    if (this.#disposed) throw new IngotError('disposed', 'the program is disposed');
  }
}

/** What is done when a run has ended: times are collected, choices counted that nobody waited for. */
interface AfterRun {
  readonly collect?: (() => Promise<void>) | undefined;
  readonly unwaited?: readonly Unwaited[];
}

/** The uniform block. Throws invalid_argument for a scalar that is missing or does not fit its type. */
function packScalars(
  specs: readonly ScalarSpec[],
  values: Readonly<Record<string, number>>,
): Uint32Array<ArrayBuffer> {
  const words = new DataView(new ArrayBuffer(256));
  specs.forEach(({ name, type }, i) => {
    const value = values[name];
    if (value === undefined || Number.isNaN(value) || (type !== 'f32' && !Number.isInteger(value))) {
      const kind = type === 'f32' ? 'a number' : 'an integer';
      throw new IngotError('invalid_argument', `scalar '${name}' must be ${kind}, got ${value}`);
    }
    if (type === 'f32') words.setFloat32(4 * i, value, true);
    else if (type === 'i32') words.setInt32(4 * i, value, true);
    else words.setUint32(4 * i, value, true);
  });
  return new Uint32Array(words.buffer);
}
