// Buffers of the WebGPU device: one GPU buffer each, a multiple of 16 bytes long, counted against the device's budget.

import { IngotError } from '../../base/errors.ts';
import type { BufferRange, DeviceBuffer } from '../device.ts';
import type { ExpertPart, StreamedLayer } from '../expert-stream.ts';
import type { GpuExperts } from './experts.ts';

/** Who counts a buffer's bytes. */
export interface BufferOwner {
  released(buffer: WebGpuBuffer): void;
}

export const roundUp = (n: number, step: number): number => Math.ceil(n / step) * step;

export class WebGpuBuffer implements DeviceBuffer {
  readonly byteLength: number;
  readonly label: string;
  readonly owner: BufferOwner;
  readonly #gpu: GPUBuffer;
  #disposed = false;

  constructor(owner: BufferOwner, gpu: GPUBuffer, byteLength: number, label: string) {
    this.owner = owner;
    this.byteLength = byteLength;
    this.label = label;
    this.#gpu = gpu;
  }

  /** Throws disposed. */
  get gpu(): GPUBuffer {
    if (this.#disposed) throw new IngotError('disposed', `buffer ${this.label} is disposed`);
    return this.#gpu;
  }

  get disposed(): boolean {
    return this.#disposed;
  }

  /** What was submitted before still finds the memory. */
  dispose(): void {
    if (this.#disposed) return;
    this.#disposed = true;
    this.owner.released(this);
    this.#gpu.destroy();
  }
}

/** Stands for a stack of experts of which only some are in memory. */
export class StreamedStack implements DeviceBuffer {
  readonly byteLength: number;
  readonly label: string;
  readonly stream: GpuExperts;
  readonly layer: number;
  readonly part: ExpertPart;

  constructor(stream: GpuExperts, layer: number, part: ExpertPart) {
    const { name, experts, matrices } = stream.layers[layer] as StreamedLayer;
    this.byteLength = experts * matrices[part].byteLength;
    this.label = `${name}.${part}`;
    this.stream = stream;
    this.layer = layer;
    this.part = part;
  }

  /** The memory is the stream's. */
  dispose(): void {}
}

/** The GPU buffer of a range that lies inside its buffer. Throws invalid_argument for another device's or a range outside. */
export function checkedRange(owner: BufferOwner, range: Omit<BufferRange, 'kind'>): WebGpuBuffer {
  const { buffer, offset, byteLength } = range;
  if (buffer instanceof StreamedStack) {
    throw new IngotError(
      'unsupported',
      `${buffer.label}: experts that are streamed are for the kernels of experts only; load the model with all of them in memory`,
    );
  }
  if (!(buffer instanceof WebGpuBuffer) || buffer.owner !== owner) {
    throw new IngotError('invalid_argument', `buffer ${buffer.label} belongs to another device`);
  }
  if (buffer.disposed) throw new IngotError('disposed', `buffer ${buffer.label} is disposed`);
  if (!(offset >= 0 && byteLength >= 0 && offset + byteLength <= buffer.byteLength)) {
    throw new IngotError(
      'invalid_argument',
      `buffer ${buffer.label}: bytes ${offset} to ${offset + byteLength} are outside its ${buffer.byteLength}`,
    );
  }
  return buffer;
}
