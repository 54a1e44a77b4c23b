// Running results along an axis: log2 n passes, each joining every element with the one 2^k before it. Numbers are summed as
// in a tree, so errors grow with log n.

import { isFloat } from '../../base/dtype.ts';
import type { NDArray } from '../array.ts';
import { full } from '../creation.ts';
import { logAddExp } from '../derived.ts';
import { widened } from '../ops/reduce/reduce.ts';
import { concat } from '../ops/shape/concat.ts';
import { alongAxis, axisOf, overAxis } from './terms.ts';

export interface ScanOptions {
  /** From the end. */
  readonly reverse?: boolean;
  /** False leaves each element out of its own result, which begins with that of nothing. Default true. */
  readonly inclusive?: boolean;
}

type Join = (before: NDArray, x: NDArray) => NDArray;

function scan(
  x: NDArray,
  axis: number,
  empty: number,
  join: Join,
  what: string,
  options: ScanOptions,
): NDArray {
  const [at, n] = axisOf(x, axis, what);
  const { reverse = false, inclusive = true } = options;
  const flip = (y: NDArray): NDArray => (reverse && n > 0 ? alongAxis(y, at, [n - 1, -n - 1, -1]) : y);
  let result = flip(x);
  for (let step = 1; step < n; step *= 2) result = join(moved(result, at, n, step, empty), result);
  if (!inclusive && n > 0) result = moved(result, at, n, 1, empty);
  return flip(result);
}

/** Elements `step` places further along, with what joins to nothing before them. */
function moved(x: NDArray, axis: number, n: number, step: number, empty: number): NDArray {
  const fill = full(
    x.shape.map((d, i) => (i === axis ? step : d)),
    empty,
    x.dtype,
  );
  return concat([fill, alongAxis(x, axis, [0, n - step])], axis);
}

const lowest = (x: NDArray): number =>
  isFloat(x.dtype) ? Number.NEGATIVE_INFINITY : x.dtype === 'i32' ? -(2 ** 31) : x.dtype === 'i8' ? -128 : 0;
const highest = (x: NDArray): number =>
  isFloat(x.dtype)
    ? Number.POSITIVE_INFINITY
    : { i32: 2 ** 31 - 1, u32: 2 ** 32 - 1, i8: 127, u8: 255, bool: 1 }[x.dtype];

/** Running sum along `axis`; over the elements in their order without one. 8-bit integers are summed as 32-bit ones. */
export const cumsum = (x: NDArray, axis?: number, options: ScanOptions = {}): NDArray =>
  overAxis(widened(x), axis, (y, a) => scan(y, a, 0, (p, q) => p.add(q), 'cumsum', options));
/** Running product. */
export const cumprod = (x: NDArray, axis?: number, options: ScanOptions = {}): NDArray =>
  overAxis(widened(x), axis, (y, a) => scan(y, a, 1, (p, q) => p.mul(q), 'cumprod', options));
/** Largest element so far. */
export const cummax = (x: NDArray, axis?: number, options: ScanOptions = {}): NDArray =>
  overAxis(x, axis, (y, a) => scan(y, a, lowest(y), (p, q) => p.maximum(q), 'cummax', options));
/** Smallest element so far. */
export const cummin = (x: NDArray, axis?: number, options: ScanOptions = {}): NDArray =>
  overAxis(x, axis, (y, a) => scan(y, a, highest(y), (p, q) => p.minimum(q), 'cummin', options));
/** log of the running sum of exp(x), without overflow. */
export const logcumsumexp = (x: NDArray, axis?: number, options: ScanOptions = {}): NDArray =>
  overAxis(isFloat(x.dtype) ? x : x.cast('f32'), axis, (y, a) =>
    scan(y, a, Number.NEGATIVE_INFINITY, logAddExp, 'logcumsumexp', options),
  );
