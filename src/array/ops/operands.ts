// Small helpers that op files share: required operands, element access for references, shape checks.

import { type DType, isFloat, type TypedArray } from '../../base/dtype.ts';
import { IngotError, invariant } from '../../base/errors.ts';
import type { Count, Dim } from '../../base/shape.ts';
import { formatShape, type Shape, sameShape } from '../../base/shape.ts';
import type { Param } from '../../kernel/signature.ts';
import { bf16ToF32, f16ToF32, f32ToBf16, f32ToF16 } from '../../quant/half.ts';
import type { Operands } from '../op.ts';
import { isScalarRef, type Scalar, type Tensor, type ValueType } from '../types.ts';

/** Operand i, which the op requires. */
export function operand<T>(list: Operands<T>, i: number): T {
  const x = list[i];
  invariant(x != null, `operand ${i} is missing`);
  return x;
}

/** Operand i or null when it was not given. */
export const optional = <T>(list: Operands<T>, i: number): T | null => list[i] ?? null;

/** Output i of a reference. */
export const output = (outputs: readonly Tensor[], i = 0): Tensor => operand(outputs, i);

/** Values of a float tensor as f32; the tensor's own memory when it is f32 already. */
export function floats(t: Pick<Tensor, 'dtype' | 'data'>): Float32Array {
  if (t.data instanceof Float32Array) return t.data;
  const to = t.dtype === 'f16' ? f16ToF32 : t.dtype === 'bf16' ? bf16ToF32 : (x: number) => x;
  return Float32Array.from(t.data, to);
}

/** Reads element i as a number. */
export function reader(t: Tensor): (i: number) => number {
  const { data } = t;
  if (t.dtype === 'f16') return (i) => f16ToF32(data[i] as number);
  if (t.dtype === 'bf16') return (i) => bf16ToF32(data[i] as number);
  return (i) => data[i] as number;
}

/** Stores a number as element i, rounded to the dtype. */
export function writer(t: Tensor): (i: number, x: number) => void {
  const { data } = t;
  const to = t.dtype === 'f16' ? f32ToF16 : t.dtype === 'bf16' ? f32ToBf16 : (x: number) => x;
  return (i, x) => {
    data[i] = to(x);
  };
}

/** Runs `compute` on an f32 view of the output and rounds the result into it. */
export function writeFloats(t: Tensor, compute: (out: Float32Array) => void): void {
  if (t.data instanceof Float32Array) {
    compute(t.data);
    return;
  }
  const out = new Float32Array(t.data.length);
  compute(out);
  const write = writer(t);
  for (let i = 0; i < out.length; i++) write(i, out[i] as number);
}

export const numel = (shape: readonly number[]): number => shape.reduce((n, d) => n * d, 1);

/** A dimension whose size the op must know when tracing. */
export function fixed(d: Dim | undefined, what: string): number {
  if (typeof d === 'number') return d;
  throw new IngotError(
    'shape_mismatch',
    `${what}: ${d === undefined ? 'a dimension is missing' : `dimension ${d.name} must have a fixed size`}`,
  );
}

export function shapeError(what: string, problem: string): never {
  throw new IngotError('shape_mismatch', `${what}: ${problem}`);
}

/** Throws shape_mismatch unless the operand has exactly this shape. */
export function expectShape(t: ValueType, shape: Shape, what: string): void {
  if (!sameShape(t.shape, shape)) {
    shapeError(what, `expected shape ${formatShape(shape)}, got ${formatShape(t.shape)}`);
  }
}

/** Throws invalid_argument unless the operand has one of these dtypes. */
export function expectDtype(t: Pick<ValueType, 'dtype'>, allowed: readonly DType[], what: string): void {
  if (allowed.includes(t.dtype)) return;
  throw new IngotError(
    'invalid_argument',
    `${what}: expected ${allowed.join(' or ')}, got ${t.dtype}; convert with cast()`,
  );
}

export function expectFloat(t: ValueType, what: string): void {
  if (!isFloat(t.dtype)) expectDtype(t, ['f32', 'f16', 'bf16'], what);
}

export const floatDtypes: readonly DType[] = ['f32', 'f16', 'bf16'];

/** A number of elements as a dispatch parameter. */
export const countParam = (c: Count): Param =>
  c.dyn === undefined ? c.mul : { scalar: c.dyn.name, mul: c.mul, add: 0 };

/** An attribute as a dispatch parameter. */
export const scalarParam = (s: Scalar): Param => (isScalarRef(s) ? { scalar: s.scalar, mul: 1, add: 0 } : s);

/** An attribute in a reference, where plan scalars have been replaced by their numbers. */
export function scalarValue(s: Scalar): number {
  invariant(typeof s === 'number', 'a plan scalar reached a reference without a value');
  return s;
}

/** The array's typed view of bytes; `bytes.byteOffset` must be a multiple of the element size. */
export function typedView(dtype: DType, bytes: Uint8Array): TypedArray {
  const { buffer, byteOffset, byteLength } = bytes;
  switch (dtype) {
    case 'f32':
      return new Float32Array(buffer, byteOffset, byteLength / 4);
    case 'i32':
      return new Int32Array(buffer, byteOffset, byteLength / 4);
    case 'u32':
      return new Uint32Array(buffer, byteOffset, byteLength / 4);
    case 'f16':
    case 'bf16':
      return new Uint16Array(buffer, byteOffset, byteLength / 2);
    case 'i8':
      return new Int8Array(buffer, byteOffset, byteLength);
    case 'u8':
    case 'bool':
      return bytes;
  }
}

/** Elements of the longest row of halves that the kernels of rows take. */
const longestHalfRow = 1 << 18;

/** Operands of one dtype in rows of whole fours: what the kernels of rows read and write in any float dtype. */
export const rowsAlike = (inputs: Operands<ValueType>): boolean => {
  const [first] = inputs;
  const width = first?.shape.at(-1);
  return (
    typeof width === 'number' &&
    width % 4 === 0 &&
    width <= longestHalfRow &&
    inputs.every((t) => t === null || (t.dtype === first?.dtype && t.layout === undefined))
  );
};
