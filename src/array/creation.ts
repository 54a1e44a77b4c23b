// Making arrays: from data, constants, ranges, plan scalars; and evaluating several at once.

import { bytesPerElement, checkDtype, type DType, type TypedArray } from '../base/dtype.ts';
import { IngotError } from '../base/errors.ts';
import { checkShape, formatShape, maxElements, type Shape } from '../base/shape.ts';
import type { Device } from '../device/device.ts';
import { NDArray } from './array.ts';
import { currentDevice } from './context.ts';
import { evaluateValues } from './evaluate.ts';
import { bufferNode, opNode } from './graph/node.ts';
import { flattenLists, type NestedNumbers } from './lists.ts';
import { arangeOp } from './ops/creation/arange.ts';
import { constantValue, fullOp } from './ops/creation/full.ts';
import type { Term } from './ops/elementwise/elementwise.ts';
import { typedView } from './ops/operands.ts';
import type { ScalarType } from './types.ts';

const dtypeOf = (data: TypedArray): DType => {
  if (data instanceof Float32Array) return 'f32';
  if (data instanceof Int32Array) return 'i32';
  if (data instanceof Uint32Array) return 'u32';
  if (data instanceof Int8Array) return 'i8';
  return data instanceof Uint8Array ? 'u8' : 'f32';
};

export interface FromDataOptions {
  /** Default: by the kind of typed array; f32 for numbers, bool for truth values. f16 and bf16 take their bits in a Uint16Array. */
  readonly dtype?: DType;
  readonly device?: Device;
  readonly label?: string;
}

/**
 * A constant with these elements: a typed array, or numbers and truth values in lists as deep as the array has axes. The shape
 * defaults to that of the lists. Throws shape_mismatch for lists of unequal length and for a shape of another size, and
 * invalid_argument for elements that are no numbers or that the dtype does not hold.
 */
export function fromData(
  data: TypedArray | NestedNumbers,
  shape?: readonly number[],
  options: FromDataOptions = {},
): NDArray {
  if (options.dtype !== undefined) checkDtype(options.dtype, 'fromData');
  const { elements, dtype, shape: own } = elementsOf(data, options.dtype);
  const target = shape ?? own;
  checkShape(target, 'fromData');
  if (maxElements(target) !== elements.length) {
    throw new IngotError(
      'shape_mismatch',
      `fromData: ${elements.length} elements do not fill ${formatShape(target)}`,
    );
  }
  return constant(elements, target, dtype, options);
}

function constant(
  elements: TypedArray,
  shape: readonly number[],
  dtype: DType,
  { device = currentDevice(), label = 'constant' }: FromDataOptions,
): NDArray {
  const buffer = device.allocate(elements.byteLength, label);
  device.write(buffer, 0, elements);
  const node = bufferNode({ role: 'constant', device, buffer, label, owned: true, type: { shape, dtype } });
  return new NDArray({ node, index: 0 });
}

interface Elements {
  readonly elements: TypedArray;
  readonly dtype: DType;
  readonly shape: readonly number[];
}

function elementsOf(data: TypedArray | NestedNumbers, wanted: DType | undefined): Elements {
  if (!ArrayBuffer.isView(data)) return flattenLists(data, wanted);
  const dtype = wanted ?? dtypeOf(data);
  const typed = typedView(dtype, new Uint8Array(data.length * bytesPerElement(dtype)));
  if (data.constructor !== typed.constructor) {
    throw new IngotError('invalid_argument', `fromData: a ${data.constructor.name} cannot hold ${dtype}`);
  }
  if (dtype === 'bool') for (let i = 0; i < data.length; i++) typed[i] = data[i] === 0 ? 0 : 1;
  else typed.set(data);
  return { elements: typed, dtype, shape: [data.length] };
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

/**
 * An array of one value, or of another array broadcast to a shape; a number is the size of a vector. The dtype is by default that of the array, bool for a truth
 * value, f32 for a number. Costs nothing inside elementwise chains. Throws invalid_argument when the dtype does not hold the value.
 */
export function full(size: Shape | number, value: Term, dtype?: DType | null): NDArray {
  const shape = typeof size === 'number' ? [size] : size;
  checkShape(shape, 'full');
  if (typeof value === 'object') return value.cast(dtype ?? value.dtype).broadcastTo(shape);
  const type = dtype ?? (typeof value === 'boolean' ? 'bool' : 'f32');
  checkDtype(type, 'full');
  const attrs = { shape, dtype: type, value: constantValue(value, type, 'full') };
  return new NDArray({ node: opNode(fullOp, [], attrs), index: 0 });
}

export const zeros = (shape: Shape | number, dtype?: DType | null): NDArray => full(shape, 0, dtype);
export const ones = (shape: Shape | number, dtype?: DType | null): NDArray => full(shape, 1, dtype);

/** start, start + step, … before stop. `arange(n)` counts from 0. i32 unless a number is fractional or a dtype is given. */
export function arange(
  start: number,
  stop?: number | null,
  by: number | null = 1,
  dtype?: DType | null,
): NDArray {
  const step = by ?? 1;
  const [from, to] = stop == null ? [0, start] : [start, stop];
  if (![from, to, step].every(Number.isFinite) || step === 0) {
    throw new IngotError('invalid_argument', `arange: ${from} to ${to} by ${step} has no end`);
  }
  const integers = [from, to, step].every(Number.isInteger);
  const length = Math.max(0, Math.ceil((to - from) / step));
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
