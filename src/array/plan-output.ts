// What a plan gives: outputs with the elements of one run, or of the last one.

import { bytesPerElement, type DType, type TypedArray } from '../base/dtype.ts';
import { IngotError } from '../base/errors.ts';
import { concreteShape, countValue, elementCount, formatShape, type Shape } from '../base/shape.ts';
import type { BufferRange, Device, DeviceBuffer } from '../device/device.ts';
import { aligned } from './evaluate.ts';
import { floats, typedView } from './ops/operands.ts';
import { type NestedList, nestedList } from './print.ts';

/** Outputs of a run are captured with it up to this many bytes in total; larger ones are read from their buffers later. */
export const SNAPSHOT_BYTES = 64 * 1024;

export type Scalars = Readonly<Record<string, number>>;

/** Where an output of a plan is. */
export interface OutputPlace {
  readonly name: string;
  readonly shape: Shape;
  readonly dtype: DType;
  readonly buffer: DeviceBuffer;
  readonly offset: number;
  readonly byteLength: number;
}

/** A run that has ended. */
export interface EndedRun {
  readonly scalars: Scalars;
  /** Bytes of each output as this run left them; undefined when they were too large to capture. */
  readonly captured: readonly Uint8Array[] | undefined;
}

/** The bytes of an output at the sizes of one run. */
export function outputRange({ shape, dtype, buffer, offset }: OutputPlace, scalars: Scalars): BufferRange {
  const byteLength = countValue(elementCount(shape), scalars) * bytesPerElement(dtype);
  return { kind: 'buffer', buffer, offset, byteLength };
}

/** An output of a plan: from `run`, with the result of that run; from `outputs`, with the result of the last run that ended. */
export class PlanOutput {
  readonly name: string;
  /** With dynamic sizes; `data` has those of the run. */
  readonly shape: Shape;
  readonly dtype: DType;
  readonly #device: Device;
  readonly #place: OutputPlace;
  readonly #index: number;
  readonly #run: () => EndedRun;

  constructor(device: Device, place: OutputPlace, index: number, run: () => EndedRun) {
    this.name = place.name;
    this.shape = place.shape;
    this.dtype = place.dtype;
    this.#device = device;
    this.#place = place;
    this.#index = index;
    this.#run = run;
  }

  /**
   * Elements, row-major; f16 and bf16 as their bits. When the outputs of the run take more than 64 KiB in total they are
   * not captured: read them before the plan runs again.
   */
  async data(): Promise<TypedArray> {
    return this.captured?.slice() ?? typedView(this.dtype, aligned(await this.#read(this.#run().scalars)));
  }

  /** The only element, as a number. Rejects with shape_mismatch when there are more. */
  async item(): Promise<number> {
    const sizes = this.#sizes();
    if (sizes.some((d) => d !== 1)) {
      throw new IngotError('shape_mismatch', `item: ${formatShape(sizes)} is not one element`);
    }
    return (await this.#numbers())[0] as number;
  }

  /** The elements in lists as deep as there are axes, with the sizes of the run: numbers, or truth values for bool. */
  async toList(): Promise<NestedList> {
    const sizes = this.#sizes();
    return nestedList(await this.#numbers(), sizes, this.dtype);
  }

  #sizes(): readonly number[] {
    return concreteShape(this.shape, this.#run().scalars);
  }

  async #numbers(): Promise<TypedArray> {
    const data = await this.data();
    return this.dtype === 'f16' || this.dtype === 'bf16' ? floats({ dtype: this.dtype, data }) : data;
  }

  /** What `data` resolves to, to be looked at but not changed; undefined when it was not captured. */
  get captured(): TypedArray | undefined {
    const bytes = this.#run().captured?.[this.#index];
    return bytes && typedView(this.dtype, aligned(bytes));
  }

  #read(scalars: Scalars): Promise<Uint8Array> {
    const { buffer, offset, byteLength } = outputRange(this.#place, scalars);
    return this.#device.read(buffer, offset, byteLength);
  }
}
