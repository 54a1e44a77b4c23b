// Tests of numbers, and comparisons of whole arrays.

import { isFloat } from '../../base/dtype.ts';
import { sameShape } from '../../base/shape.ts';
import { type Given, named } from '../arguments.ts';
import type { NDArray } from '../array.ts';
import { full } from '../creation.ts';
import type { Term } from '../ops/elementwise/elementwise.ts';
import { where } from '../ops/elementwise/where.ts';
import { toArray, toFloats } from './terms.ts';

const infinity = Number.POSITIVE_INFINITY;

/** True where x is neither infinite nor NaN. */
export const isfinite = (x: Term): NDArray => toFloats(x).abs().lt(infinity);
export const isinf = (x: Term): NDArray => toFloats(x).abs().eq(infinity);
export const isposinf = (x: Term): NDArray => toFloats(x).eq(infinity);
export const isneginf = (x: Term): NDArray => toFloats(x).eq(-infinity);

/** `x` with numbers in place of NaN (default 0) and infinities (default: the largest and smallest of the dtype). */
export function nanToNum(
  x: NDArray,
  ...given: Given<[nan: number, posinf: number, neginf: number], NanToNumOptions>
): NDArray {
  const names = ['nan', 'posinf', 'neginf'] as const;
  const { nan = 0, posinf, neginf } = named<NanToNumOptions>('nanToNum', names, given);
  if (!isFloat(x.dtype)) return x;
  const largest = { f32: 3.4028234663852886e38, f16: 65504, bf16: 3.3895313892515355e38 }[x.dtype];
  const numbers = where(x.isnan(), nan, x);
  const below = where(isposinf(numbers), posinf ?? largest, numbers);
  return where(isneginf(below), neginf ?? -largest, below);
}

export interface NanToNumOptions {
  readonly nan?: number;
  readonly posinf?: number;
  readonly neginf?: number;
}

export interface CloseOptions {
  /** Relative to |b|; default 1e-5. */
  readonly rtol?: number;
  /** Default 1e-8. */
  readonly atol?: number;
  /** True counts NaN as close to NaN. */
  readonly equalNan?: boolean;
}

export type CloseArguments = Given<[rtol: number, atol: number, equalNan: boolean], CloseOptions>;

/** Where |a - b| <= atol + rtol |b|; equal infinities are close. */
export function isclose(a: Term, b: Term, ...given: CloseArguments): NDArray {
  const names = ['rtol', 'atol', 'equalNan'] as const;
  const { rtol = 1e-5, atol = 1e-8, equalNan = false } = named<CloseOptions>('isclose', names, given);
  const [x, y] = [toFloats(a), toFloats(b)];
  const finite = isfinite(x).logicalAnd(isfinite(y));
  const near = x.sub(y).abs().le(y.abs().mul(rtol).add(atol)).logicalAnd(finite).logicalOr(x.eq(y));
  return equalNan ? near.logicalOr(x.isnan().logicalAnd(y.isnan())) : near;
}

/** True when all elements are close. */
export const allclose = (a: Term, b: Term, ...given: CloseArguments): NDArray =>
  isclose(a, b, ...given).all();

/** True when shapes and all elements are equal. */
export function arrayEqual(
  a: Term,
  b: Term,
  ...given: Given<[equalNan: boolean], { readonly equalNan?: boolean }>
): NDArray {
  const { equalNan = false } = named<{ equalNan?: boolean }>('arrayEqual', ['equalNan'], given);
  const [x, y] = [toArray(a), toArray(b)];
  if (!sameShape(x.shape, y.shape)) return full([], false);
  const equal = x.eq(y);
  return (equalNan ? equal.logicalOr(x.isnan().logicalAnd(y.isnan())) : equal).all();
}
