// Functions that NumPy has and MLX has not, made of those that are there.

import { IngotError } from '../../base/errors.ts';
import { normalizeAxis } from '../../base/shape.ts';
import { type Given, named } from '../arguments.ts';
import type { NDArray } from '../array.ts';
import { arange, fromData, full } from '../creation.ts';
import { expandDims, logAddExp as ofArrays, split } from '../derived.ts';
import type { Term } from '../ops/elementwise/elementwise.ts';
import { where } from '../ops/elementwise/where.ts';
import { fixed } from '../ops/operands.ts';
import { concat } from '../ops/shape/concat.ts';
import { diag, flip } from './shape.ts';
import { convolve } from './statistics.ts';
import { alongAxis, floatPair, integers, toArray, toFloats } from './terms.ts';

/** Elements in their order. */
export const ravel = (x: NDArray): NDArray => x.reshape([-1]);
export const fliplr = (x: NDArray): NDArray => flip(x, 1);
export const flipud = (x: NDArray): NDArray => flip(x, 0);
/** A matrix with the elements of x on a diagonal. */
export const diagflat = (x: NDArray, k = 0): NDArray => diag(ravel(x), k);
export const vsplit = (x: NDArray, parts: number | readonly number[]): readonly NDArray[] =>
  split(x, parts, 0);
export const hsplit = (x: NDArray, parts: number | readonly number[]): readonly NDArray[] =>
  split(x, parts, x.shape.length === 1 ? 0 : 1);
export const dsplit = (x: NDArray, parts: number | readonly number[]): readonly NDArray[] =>
  split(x, parts, 2);
/** Arrays along an axis, without it. */
export const unstack = (
  x: NDArray,
  ...given: Given<[axis: number], { readonly axis?: number }>
): readonly NDArray[] => {
  const { axis = 0 } = named<{ axis?: number }>('unstack', ['axis'], given);
  const at = normalizeAxis(axis, x.shape.length, 'unstack');
  const shape = x.shape.filter((_, i) => i !== at);
  return split(x, fixed(x.shape[at], 'unstack'), at).map((part) => part.reshape(shape));
};
/** The last two axes exchanged. */
export const matrixTranspose = (x: NDArray): NDArray => {
  const rank = x.shape.length;
  return x.transpose([...x.shape.map((_, i) => i).slice(0, -2), rank - 1, rank - 2]);
};
/** Matrices [..., M, K] times vectors [..., K]. */
export const matvec = (a: NDArray, x: NDArray): NDArray => {
  const y = a.matmul(expandDims(x, -1));
  return y.reshape(y.shape.slice(0, -1));
};
/** Vectors [..., K] times matrices [..., K, N]. */
export const vecmat = (x: NDArray, a: NDArray): NDArray => {
  const y = expandDims(x, -2).matmul(a);
  return y.reshape([...y.shape.slice(0, -2), ...y.shape.slice(-1)]);
};
/** log2(2^a + 2^b) without overflow. */
export function logaddexp2(a: Term, b: Term): NDArray {
  const [x, y] = floatPair(a, b);
  const distance = where(x.eq(y), 0, x.sub(y)).abs();
  return x.maximum(y).add(distance.mul(-Math.LN2).exp().log1p().mul(Math.LOG2E));
}
/** x 2^n. */
export const ldexp = (x: Term, n: Term): NDArray => toFloats(x).mul(toFloats(n).mul(Math.LN2).exp());
/** Number of ones in the bits of integers: u8. */
export function bitwiseCount(x: NDArray): NDArray {
  integers(x, 'bitwiseCount');
  const magnitude = x.dtype === 'i8' || x.dtype === 'i32' ? x.abs() : x;
  let v = magnitude.cast('u32');
  v = v.sub(v.rightShift(1).bitwiseAnd(0x55555555));
  v = v.bitwiseAnd(0x33333333).add(v.rightShift(2).bitwiseAnd(0x33333333));
  v = v.add(v.rightShift(4)).bitwiseAnd(0x0f0f0f0f);
  return v.mul(0x01010101).rightShift(24).cast('u8');
}
/** True where an element of x is among those of `values`. */
export const isin = (x: NDArray, values: NDArray): NDArray => expandDims(x, -1).eq(ravel(values)).any(-1);
/** Cross-correlation of vectors: sums of a[n + k] v[n]. */
export const correlate = (a: NDArray, v: NDArray, mode: 'full' | 'same' | 'valid' = 'valid'): NDArray =>
  convolve(a, flip(v), mode);
/** Powers of x as columns, highest first. */
export const vander = (x: NDArray, n = fixed(x.shape[0], 'vander'), increasing = false): NDArray => {
  const powers = arange(n).reshape([1, n]);
  return x.reshape([-1, 1]).pow(increasing ? powers : powers.neg().add(n - 1));
};
/** c[0] x^(n - 1) + … + c[n - 1]. */
export function polyval(c: NDArray, x: Term): NDArray {
  const point = toArray(x);
  return unstack(c).reduce((sum, k) => sum.mul(point).add(k), point.mul(0));
}
/**
 * Differences between neighbours along an axis: half of those two apart inside, one apart at the ends. Without an axis those of
 * each, in a list where there are several.
 */
export function gradient(x: NDArray, spacing: number | readonly number[], axis: number): NDArray;
export function gradient(x: NDArray, spacing?: number | readonly number[]): NDArray | readonly NDArray[];
export function gradient(
  x: NDArray,
  spacing: number | readonly number[] = 1,
  axis?: number | null,
): NDArray | readonly NDArray[] {
  const rank = x.shape.length;
  const steps = typeof spacing === 'number' ? x.shape.map(() => spacing) : spacing;
  if (axis != null) return slopes(x, normalizeAxis(axis, rank, 'gradient'), steps[0] as number);
  if (steps.length !== rank) {
    throw new IngotError('invalid_argument', `gradient: ${steps.length} spacings for ${rank} axes`);
  }
  return rank === 1 ? slopes(x, 0, steps[0] as number) : steps.map((step, i) => slopes(x, i, step));
}

function slopes(of: NDArray, at: number, spacing: number): NDArray {
  const x = toFloats(of);
  const n = fixed(x.shape[at], 'gradient');
  if (n < 2) {
    throw new IngotError('invalid_argument', `gradient: axis ${at} has ${n} elements, 2 are needed`);
  }
  const part = (a: number, b: number): NDArray => alongAxis(x, at, [a, b]);
  const inner = part(2, n)
    .sub(part(0, n - 2))
    .mul(0.5 / spacing);
  const end = (a: NDArray, b: NDArray): NDArray => a.sub(b).mul(1 / spacing);
  return concat([end(part(1, 2), part(0, 1)), inner, end(part(n - 1, n), part(n - 2, n - 1))], at);
}
/** Index of each axis at every place of a shape: [axes, ...shape]. */
export function indices(shape: readonly number[]): NDArray {
  const size = shape.reduce((p, d) => p * d, 1);
  const data = new Int32Array(shape.length * size);
  for (let i = 0; i < size; i++) {
    let rest = i;
    for (let a = shape.length - 1; a >= 0; a--) {
      data[a * size + i] = rest % (shape[a] as number);
      rest = Math.floor(rest / (shape[a] as number));
    }
  }
  return fromData(data, [shape.length, ...shape]);
}
const places = (
  rows: number,
  columns: number,
  keep: (i: number, j: number) => boolean,
): readonly [NDArray, NDArray] => {
  const [r, c]: [number[], number[]] = [[], []];
  for (let i = 0; i < rows; i++)
    for (let j = 0; j < columns; j++)
      if (keep(i, j)) {
        r.push(i);
        c.push(j);
      }
  return [fromData(Int32Array.from(r)), fromData(Int32Array.from(c))];
};
/** Rows and columns of the lower triangle. */
export const trilIndices = (n: number, k = 0, m = n): readonly [rows: NDArray, columns: NDArray] =>
  places(n, m, (i, j) => j <= i + k);
export const triuIndices = (n: number, k = 0, m = n): readonly [rows: NDArray, columns: NDArray] =>
  places(n, m, (i, j) => j >= i + k);
/** Index of each axis for places counted row by row. */
export function unravelIndex(at: NDArray, shape: readonly number[]): readonly NDArray[] {
  const strides = shape.map((_, i) => shape.slice(i + 1).reduce((p, d) => p * d, 1));
  return shape.map((d, i) => at.floorDivide(strides[i] as number).mod(d));
}
/** Places counted row by row of an index for each axis. */
export const ravelMultiIndex = (at: readonly NDArray[], shape: readonly number[]): NDArray =>
  at.reduce((sum, x, i) => (i === 0 ? x : sum.mul(shape[i] as number).add(x)));

/** x: numbers have no imaginary part. */
export const real = (x: Term): NDArray => toArray(x);
export const imag = (x: Term): NDArray => full(toArray(x).shape, 0, toArray(x).dtype);
export const conjugate = (x: Term): NDArray => toArray(x);
export const conj = conjugate;
export const positive = (x: Term): NDArray => toArray(x);
/** log(exp(a) + exp(b)) without overflow. */
export const logAddExp = (a: Term, b: Term): NDArray => ofArrays(...floatPair(a, b));
export const logaddexp = logAddExp;
