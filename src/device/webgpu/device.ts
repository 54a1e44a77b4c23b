// The GPU through WebGPU, in Node and in a browser: buffers with a byte budget, programs, and one order of all work.

import { IngotError } from '../../base/errors.ts';
import type { AdapterIdentity, ChoiceBook, Choices } from '../../kernel/tune/choices.ts';
import { type GpuCapabilities, wgslSource } from '../../kernel/wgsl/contract.ts';
import { findGpuKernel } from '../../kernel/wgsl/index.ts';
import { isReadable } from '../../kernel/wgsl/linear/unpack.ts';
import { mostSorted } from '../../kernel/wgsl/moe/sort.ts';
import type { PackRows } from '../cpu/pack.ts';
import {
  type CompiledProgram,
  type Device,
  type DeviceBuffer,
  type DeviceProgram,
  type DeviceStatistics,
  type Dispatch,
  noFiles,
  type OpenFile,
  type OperandType,
  type ReadFile,
} from '../device.ts';
import type { ExpertStream, ExpertStreamSpec } from '../expert-stream.ts';
import { type BindContext, planDispatch } from './bind.ts';
import { type BufferOwner, checkedRange, roundUp, WebGpuBuffer } from './buffer.ts';
import { GpuExperts } from './experts.ts';
import { ByteMover } from './moves.ts';
import { PipelineCache } from './pipelines.ts';
import { WebGpuProgram } from './program.ts';
import { ReadbackRing, recordMoves } from './transfers.ts';

export interface WebGpuDeviceParts {
  readonly gpu: GPUDevice;
  readonly caps: GpuCapabilities;
  readonly description: string;
  /** Bytes that buffers may take together; undefined leaves it to the driver. */
  readonly memoryLimit?: number | undefined;
  /** Undefined where there are no files. */
  readonly readFile?: ReadFile | undefined;
  readonly openFile?: OpenFile | undefined;
  /** A packer that is faster than plain TypeScript. */
  readonly packRows?: PackRows | undefined;
  readonly identity: AdapterIdentity;
  readonly choices: ChoiceBook;
  /** Keeps what was measured for the next device on this adapter; returns where, if anywhere. */
  readonly keepChoices: (choices: Choices) => string | undefined;
  /** Called once when the device is disposed. */
  readonly onDispose?: (() => void) | undefined;
}

/** STORAGE | UNIFORM | COPY_SRC | COPY_DST */
const bufferUsage = 0xcc;

export class WebGpuDevice implements Device, BufferOwner {
  readonly name = 'webgpu';
  readonly kernels = 'native';
  readonly memory = 'separate';
  readonly rebinds = false;
  readonly description: string;
  readonly class: string;
  readonly gpu: GPUDevice;
  readonly caps: GpuCapabilities;
  readonly identity: AdapterIdentity;
  readonly choices: ChoiceBook;
  readonly keepChoices: WebGpuDeviceParts['keepChoices'];
  readonly mover: ByteMover;
  readonly readback: ReadbackRing;
  readonly #parts: WebGpuDeviceParts;
  readonly #pipelines: PipelineCache;
  #liveBuffers = 0;
  #liveBytes = 0;
  #peakBytes = 0;
  #disposed = false;
  /** What went wrong beyond repair: the device was lost or ran out of memory. */
  #fault: IngotError | undefined;
  /** Work that waits for pipelines; what comes later waits behind it. */
  #tail: Promise<unknown> | undefined;
  #unsettled = 0;
  readonly #streams: GpuExperts[] = [];
  /** Only where there are files. */
  readonly streamExperts?: (spec: ExpertStreamSpec) => ExpertStream;

  constructor(parts: WebGpuDeviceParts) {
    this.#parts = parts;
    this.gpu = parts.gpu;
    this.caps = parts.caps;
    this.identity = parts.identity;
    this.choices = parts.choices;
    this.keepChoices = parts.keepChoices;
    this.description = parts.description;
    this.class = `webgpu ${parts.identity.name}`;
    this.mover = new ByteMover(parts.gpu, parts.caps.offsetAlignment);
    this.readback = new ReadbackRing(parts.gpu);
    this.#pipelines = new PipelineCache(parts.gpu);
    const { openFile } = parts;
    if (openFile !== undefined) this.streamExperts = (spec) => this.#streamExperts(openFile, spec);
    void parts.gpu.lost.then(({ message, reason }) => {
      if (this.#disposed && reason === 'destroyed') return;
      this.#fault = new IngotError(
        'device_lost',
        `the GPU device was lost (${message || reason}): dispose of the model and load it again`,
      );
    });
    parts.gpu.addEventListener('uncapturederror', (event) => {
      event.preventDefault(); // else Dawn prints it, too
      this.#fault ??= faultOf((event as GPUUncapturedErrorEvent).error, this.#liveBytes);
    });
  }

  get canTime(): boolean {
    return this.gpu.features.has('timestamp-query');
  }

  allocate(byteLength: number, label: string): DeviceBuffer {
    return this.allocateBuffer(byteLength, label);
  }

  allocateBuffer(byteLength: number, label: string): WebGpuBuffer {
    const gpu = this.createBuffer(byteLength, label);
    this.#liveBuffers++;
    return new WebGpuBuffer(this, gpu, byteLength, label);
  }

  map(path: string, offset: number, byteLength: number, label: string): DeviceBuffer {
    const { readFile } = this.#parts;
    if (readFile === undefined) throw noFiles(path);
    const buffer = this.allocate(byteLength, label);
    try {
      let done = 0;
      for (const piece of readFile(path, offset, byteLength)) {
        this.write(buffer, done, piece);
        done += piece.byteLength;
      }
      return buffer;
    } catch (error) {
      buffer.dispose();
      throw error;
    }
  }

  #streamExperts(openFile: OpenFile, spec: ExpertStreamSpec): ExpertStream {
    const { gpu, caps } = this;
    const limits = {
      maxBytes: Math.min(caps.maxBindingBytes, gpu.limits.maxBufferSize),
      maxSlots: mostSorted(caps),
    };
    const allocate = (byteLength: number, label: string): WebGpuBuffer =>
      this.allocateBuffer(byteLength, label);
    const stream = new GpuExperts({ gpu, limits, openFile, pack: this.#parts.packRows, allocate }, spec);
    this.#streams.push(stream);
    return stream;
  }

  write(buffer: DeviceBuffer, offset: number, data: ArrayBufferView): void {
    const { gpu } = checkedRange(this, { buffer, offset, byteLength: data.byteLength });
    const bytes = new Uint8Array(data.buffer as ArrayBuffer, data.byteOffset, data.byteLength);
    if (this.#tail === undefined && offset % 4 === 0 && bytes.byteLength % 4 === 0) {
      this.gpu.queue.writeBuffer(gpu, offset, bytes);
      return;
    }
    const copy = bytes.slice();
    const work = this.inOrder(undefined, async () => {
      const encoder = this.gpu.createCommandEncoder();
      const writes = [{ to: { gpu, offset }, data: copy }];
      const staging = recordMoves(this.gpu, this.mover, encoder, { writes, copies: [], reads: [] });
      this.gpu.queue.submit([encoder.finish()]);
      for (const stage of staging) stage.destroy();
    });
    work.catch(() => undefined); // a lost device tells the next run
  }

  async read(buffer: DeviceBuffer, offset: number, byteLength: number): Promise<Uint8Array> {
    const { gpu } = checkedRange(this, { buffer, offset, byteLength });
    const [bytes] = await this.inOrder(undefined, async () => {
      const encoder = this.gpu.createCommandEncoder();
      const result = this.readback.record(encoder, [{ gpu, offset, length: byteLength }]);
      this.gpu.queue.submit([encoder.finish()]);
      return this.settle(result?.() ?? Promise.resolve([new Uint8Array(0)]));
    });
    return bytes ?? new Uint8Array(0);
  }

  supports(kernel: string, operands: readonly (OperandType | null)[]): boolean {
    const readable = operands.every((o) => o?.layout === undefined || isReadable(o.layout));
    return readable && findGpuKernel(kernel) !== undefined;
  }

  compile(program: DeviceProgram, options: { profile?: boolean } = {}): CompiledProgram {
    this.#check();
    return new WebGpuProgram(this, program, options.profile ?? false);
  }

  /** The WGSL of the passes of a dispatch, in the way that is taken first. */
  source(dispatch: Dispatch, scalars: readonly string[]): string {
    const choose = (key: string, candidates: readonly string[]): string =>
      this.choices.choose(key, candidates);
    const { plan } = planDispatch({ caps: this.caps, choose }, dispatch, scalars);
    const passes = plan.variants[0]?.passes ?? [];
    return passes.map((pass) => `// ${pass.name}\n${wgslSource(pass)}`).join('\n');
  }

  statistics(): DeviceStatistics {
    return { liveBuffers: this.#liveBuffers, liveBytes: this.#liveBytes, peakBytes: this.#peakBytes };
  }

  dispose(): void {
    if (this.#disposed) return;
    this.#disposed = true;
    this.readback.dispose();
    // Memory of the GPU that files are read into right now has to outlive the reads.
    const pending = this.#streams.flatMap((stream) => stream.pending ?? []);
    if (pending.length === 0) this.gpu.destroy();
    else void Promise.all(pending).finally(() => this.gpu.destroy());
    this.#parts.onDispose?.();
  }

  /** A buffer that counts against the budget. Throws out_of_memory with sizes. */
  createBuffer(byteLength: number, label: string): GPUBuffer {
    this.#check();
    const size = roundUp(Math.max(byteLength, 16), 16);
    const { memoryLimit = Number.POSITIVE_INFINITY } = this.#parts;
    const refuse = (limit: string): never => {
      throw new IngotError(
        'out_of_memory',
        `${byteLength} bytes on the GPU for ${label}: ${this.#liveBytes} are in use and ${limit}; use a smaller model or context`,
        { details: { byteLength, liveBytes: this.#liveBytes, label } },
      );
    };
    if (this.#liveBytes + size > memoryLimit) refuse(`the limit is ${memoryLimit}`);
    if (size > this.gpu.limits.maxBufferSize) refuse(`one buffer can have ${this.gpu.limits.maxBufferSize}`);
    const buffer = this.gpu.createBuffer({ size, usage: bufferUsage, label });
    this.#liveBytes += byteLength;
    this.#peakBytes = Math.max(this.#peakBytes, this.#liveBytes);
    return buffer;
  }

  releaseBytes(byteLength: number): void {
    this.#liveBytes -= byteLength;
  }

  /** Called by a buffer when it is disposed. */
  released(buffer: WebGpuBuffer): void {
    this.#liveBuffers--;
    this.releaseBytes(buffer.byteLength);
  }

  bindContext(memory: Pick<BindContext, 'create' | 'keep'>): BindContext {
    const { gpu, caps, mover } = this;
    const choose = (key: string, candidates: readonly string[]): string =>
      this.choices.choose(key, candidates);
    return { device: gpu, owner: this, caps, pipelines: this.#pipelines, mover, choose, ...memory };
  }

  /** Runs `work` after everything that came before, and after `ready`; at once when there is nothing to wait for. */
  inOrder<T>(ready: Promise<void> | undefined, work: () => Promise<T>): Promise<T> {
    if (this.#fault !== undefined) return Promise.reject(this.#fault);
    if (this.#tail === undefined && ready === undefined) return work();
    // The order is that of submits: what comes behind waits for the submit, not for the result.
    return this.#behind(Promise.all([this.#tail, ready]).then(() => ({ result: work() })));
  }

  /** The same for work that is submitted in steps: resolves to what waits for the result. */
  inSteps<T>(ready: Promise<void> | undefined, work: () => Promise<() => Promise<T>>): Promise<T> {
    if (this.#fault !== undefined) return Promise.reject(this.#fault);
    const begun = Promise.all([this.#tail, ready]);
    return this.#behind(begun.then(() => this.settle(work())).then((finish) => ({ result: finish() })));
  }

  #behind<T>(submitted: Promise<{ readonly result: Promise<T> }>): Promise<T> {
    const tail = submitted.then(
      () => undefined,
      () => undefined,
    );
    this.#tail = tail;
    void tail.then(() => {
      if (this.#tail === tail) this.#tail = undefined;
    });
    return submitted.then(({ result }) => result);
  }

  /** The result of submitted work, or the fault that kept it from ending well. */
  async settle<T>(result: Promise<T>): Promise<T> {
    this.#unsettled++;
    try {
      const value = await result;
      if (this.#fault !== undefined) throw this.#fault;
      return value;
    } catch (cause) {
      if (this.#fault !== undefined) throw this.#fault;
      if (cause instanceof IngotError) throw cause;
      await new Promise((resume) => setTimeout(resume)); // a loss is told after the calls it makes fail
      throw (
        this.#fault ??
        new IngotError(
          'device_failed',
          `the GPU failed: ${cause instanceof Error ? cause.message : String(cause)}`,
          {
            cause,
          },
        )
      );
    } finally {
      this.#unsettled--;
    }
  }

  /** Whether all results of submitted work have come. */
  get idle(): boolean {
    return this.#unsettled === 0;
  }

  #check(): void {
    if (this.#disposed) throw new IngotError('disposed', 'the WebGPU device is disposed');
    if (this.#fault !== undefined) throw this.#fault;
  }
}

function faultOf(error: GPUError, liveBytes: number): IngotError {
  const kind = error.constructor.name;
  if (kind === 'GPUOutOfMemoryError') {
    return new IngotError(
      'out_of_memory',
      `the GPU's memory is full with ${liveBytes} bytes in use: load a smaller model or a shorter context (${error.message})`,
      { details: { liveBytes } },
    );
  }
  return new IngotError('device_failed', `the GPU refused a command: ${error.message}`);
}
