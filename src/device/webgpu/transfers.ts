// What a run moves around its dispatches, recorded into its command buffer: writes, copies, and reads into memory that the
// processor can map.

import { IngotError } from '../../base/errors.ts';
import type { BufferRange, Transfers } from '../device.ts';
import { type BufferOwner, checkedRange, roundUp } from './buffer.ts';
import type { ByteMover, Place } from './moves.ts';
import { recordCommand } from './record.ts';

interface Copy {
  readonly from: Place;
  readonly to: Place;
  readonly length: number;
}

/** Transfers that were checked, with the written data captured. */
export interface CheckedTransfers {
  readonly writes: readonly { readonly to: Place; readonly data: Uint8Array<ArrayBuffer> }[];
  readonly copies: readonly Copy[];
  readonly reads: readonly (Place & { readonly length: number })[];
}

/** Throws invalid_argument for a transfer outside its buffer or of two lengths. */
export function checkTransfers(owner: BufferOwner, transfers: Transfers): CheckedTransfers {
  const place = (range: BufferRange): Place => ({
    gpu: checkedRange(owner, range).gpu,
    offset: range.offset,
  });
  const same = (a: number, b: number): void => {
    if (a !== b) throw new IngotError('invalid_argument', `a transfer of ${a} bytes into ${b}`);
  };
  return {
    writes: (transfers.writes ?? []).map(({ to, data }) => {
      same(data.byteLength, to.byteLength);
      return { to: place(to), data: new Uint8Array(data.buffer, data.byteOffset, data.byteLength).slice() };
    }),
    copies: (transfers.copies ?? []).map(({ from, to }) => {
      same(from.byteLength, to.byteLength);
      return { from: place(from), to: place(to), length: to.byteLength };
    }),
    reads: (transfers.reads ?? []).map((range) => ({ ...place(range), length: range.byteLength })),
  };
}

const whole = (...numbers: readonly number[]): boolean => numbers.every((n) => n % 4 === 0);

/**
 * Records writes and copies. Written data goes through the queue when it is whole words, which orders it before the
 * command buffer; otherwise all of it goes through staging buffers. Returns those, to destroy after the submit.
 */
export function recordMoves(
  device: GPUDevice,
  mover: ByteMover,
  encoder: GPUCommandEncoder,
  { writes, copies }: CheckedTransfers,
): readonly GPUBuffer[] {
  const staging: GPUBuffer[] = [];
  const list: Copy[] = [];
  const direct = writes.every(({ to, data }) => whole(to.offset, data.byteLength));
  for (const { to, data } of writes) {
    if (data.byteLength === 0) continue;
    if (direct) {
      device.queue.writeBuffer(to.gpu, to.offset, data);
      continue;
    }
    const size = roundUp(data.byteLength, 16);
    const stage = device.createBuffer({ size, usage: 0x84, mappedAtCreation: true }); // COPY_SRC | STORAGE
    new Uint8Array(stage.getMappedRange()).set(data);
    stage.unmap();
    staging.push(stage);
    list.push({ from: { gpu: stage, offset: 0 }, to, length: data.byteLength });
  }
  for (const copy of [...list, ...copies]) recordCopy(mover, encoder, copy, staging);
  return staging;
}

function recordCopy(
  mover: ByteMover,
  encoder: GPUCommandEncoder,
  { from, to, length }: Copy,
  staging: GPUBuffer[],
): void {
  if (length === 0) return;
  if (from.gpu !== to.gpu && whole(from.offset, to.offset, length)) {
    encoder.copyBufferToBuffer(from.gpu, from.offset, to.gpu, to.offset, length);
    return;
  }
  const move = mover.prepare(from, to, length, (buffer) => staging.push(buffer));
  const pass = encoder.beginComputePass();
  recordCommand(pass, move);
  pass.end();
}

/** Buffers for reading back, used again when their bytes have been taken. */
export class ReadbackRing {
  readonly #device: GPUDevice;
  readonly #free: GPUBuffer[] = [];

  constructor(device: GPUDevice) {
    this.#device = device;
  }

  /** Records the reads; the result is asked for after the submit, and gives the bytes of each read. */
  record(
    encoder: GPUCommandEncoder,
    reads: CheckedTransfers['reads'],
  ): (() => Promise<readonly Uint8Array[]>) | undefined {
    const places = layOut(reads);
    if (places.bytes === 0) return undefined;
    const buffer = this.#take(places.bytes);
    places.list.forEach(({ at, from, size }, i) => {
      const read = reads[i];
      if (size > 0 && read !== undefined) encoder.copyBufferToBuffer(read.gpu, from, buffer, at, size);
    });
    return async () => {
      await buffer.mapAsync(1, 0, places.bytes); // GPUMapMode.READ
      const mapped = new Uint8Array(buffer.getMappedRange(0, places.bytes));
      const bytes = places.list.map(({ at, from }, i) => {
        const { offset = 0, length = 0 } = reads[i] ?? {};
        return mapped.slice(at + offset - from, at + offset - from + length);
      });
      buffer.unmap();
      this.#free.push(buffer);
      return bytes;
    };
  }

  dispose(): void {
    for (const buffer of this.#free.splice(0)) buffer.destroy();
  }

  #take(bytes: number): GPUBuffer {
    const at = this.#free.findIndex((b) => b.size >= bytes);
    const [found] = at < 0 ? [] : this.#free.splice(at, 1);
    if (found !== undefined) return found;
    const size = 2 ** Math.ceil(Math.log2(Math.max(256, bytes)));
    return this.#device.createBuffer({ size, usage: 0x9, label: 'readback' }); // MAP_READ | COPY_DST
  }
}

/** Where each read lands, in whole words. */
function layOut(reads: CheckedTransfers['reads']) {
  let bytes = 0;
  const list = reads.map(({ offset, length }) => {
    const from = offset - (offset % 4);
    const size = length === 0 ? 0 : roundUp(offset + length - from, 4);
    const at = bytes;
    bytes += roundUp(size, 8);
    return { at, from, size };
  });
  return { bytes, list };
}
