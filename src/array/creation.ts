// Making arrays: from data, constants, ranges, plan scalars; and evaluating several at once.

import { bytesPerElement, type DType, type TypedArray } from '../base/dtype.ts';
import { IngotError } from '../base/errors.ts';
import { checkShape, formatShape, maxElements, type Shape } from '../base/shape.ts';
import type { Device } from '../device/device.ts';
import { NDArray } from './array.ts';
import { currentDevice } from './context.ts';
import { evaluateValues } from './evaluate.ts';
import { bufferNode, opNode } from './graph/node.ts';
import { arangeOp } from './ops/arange.ts';
import { fullOp } from './ops/full.ts';
import { typedView } from './ops/operands.ts';
import type { ScalarType } from './types.ts';

const dtypeOf = (data: TypedArray | readonly number[]): DType => {
  if (data instanceof Float32Array) return 'f32';
  if (data instanceof Int32Array) return 'i32';
  if (data instanceof Uint32Array) return 'u32';
  if (data instanceof Int8Array) return 'i8';
  return data instanceof Uint8Array ? 'u8' : 'f32';
};

export interface FromDataOptions {
  /** Default: by the kind of typed array; f32 for lists of numbers. f16 and bf16 take their bits in a Uint16Array. */
  readonly dtype?: DType;
  readonly device?: Device;
  readonly label?: string;
}

/** A constant with these elements, row-major. The shape defaults to a vector. */
export function fromData(
  data: TypedArray | readonly number[],
  shape: readonly number[] = [data.length],
  options: FromDataOptions = {},
): NDArray {
  const { device = currentDevice(), label = 'constant' } = options;
  const dtype = options.dtype ?? dtypeOf(data);
  checkShape(shape, 'fromData');
  if (maxElements(shape) !== data.length) {
    throw new IngotError(
      'shape_mismatch',
      `fromData: ${data.length} elements do not fill ${formatShape(shape)}`,
    );
  }
  const typed = typedView(dtype, new Uint8Array(data.length * bytesPerElement(dtype)));
  if (ArrayBuffer.isView(data) && data.constructor !== typed.constructor) {
    throw new IngotError('invalid_argument', `fromData: a ${data.constructor.name} cannot hold ${dtype}`);
  }
  if (!ArrayBuffer.isView(data) && (dtype === 'f16' || dtype === 'bf16')) {
    throw new IngotError('invalid_argument', `fromData: numbers to ${dtype}: make an f32 array and cast it`);
  }
  typed.set(data);
  const buffer = device.allocate(typed.byteLength, label);
  device.write(buffer, 0, typed);
  const node = bufferNode({ role: 'constant', device, buffer, label, owned: true, type: { shape, dtype } });
  return new NDArray({ node, index: 0 });
}

/** A constant over a buffer the caller owns, such as a norm weight inside a mapped file. */
export function fromBuffer(
  device: Device,
  buffer: Parameters<Device['read']>[0],
  shape: readonly number[],
  dtype: DType,
): NDArray {
  checkShape(shape, 'fromBuffer');
  const needed = maxElements(shape) * bytesPerElement(dtype);
  if (buffer.byteLength < needed) {
    throw new IngotError(
      'invalid_argument',
      `fromBuffer: ${dtype}${formatShape(shape)} needs ${needed} bytes, ${buffer.label} has ${buffer.byteLength}`,
    );
  }
  const type = { shape, dtype };
  return new NDArray({
    node: bufferNode({ role: 'constant', device, buffer, label: buffer.label, owned: false, type }),
    index: 0,
  });
}

/** An array of one value; costs nothing inside elementwise chains. */
export const full = (shape: Shape, value: number, dtype: DType = 'f32'): NDArray =>
  new NDArray({ node: opNode(fullOp, [], { shape, dtype, value }), index: 0 });

export const zeros = (shape: Shape, dtype: DType = 'f32'): NDArray => full(shape, 0, dtype);
export const ones = (shape: Shape, dtype: DType = 'f32'): NDArray => full(shape, 1, dtype);

/** start, start + step, … before stop. `arange(n)` counts from 0. i32 unless a number is fractional or a dtype is given. */
export function arange(start: number, stop?: number, step = 1, dtype?: DType): NDArray {
  const [from, to] = stop === undefined ? [0, start] : [start, stop];
  const length = Math.max(0, Math.ceil((to - from) / step));
  const integers = Number.isInteger(from) && Number.isInteger(step);
  const attrs = {
    start: from,
    step,
    length,
    dtype: dtype ?? (integers ? ('i32' as const) : ('f32' as const)),
  };
  return new NDArray({ node: opNode(arangeOp, [], attrs), index: 0 });
}

/** The plan scalar `name` as an array of shape []; also accepted where an op takes a scalar attribute. */
export const scalar = (name: string, type: ScalarType): NDArray =>
  new NDArray({
    node: opNode(fullOp, [], { shape: [], dtype: type, value: { scalar: name, type } }),
    index: 0,
  });

/** Computes several arrays in one program. */
export const evaluate = (...arrays: readonly NDArray[]): Promise<void> =>
  evaluateValues(
    arrays.map((a) => a.value),
    (v) => new NDArray(v),
  );
