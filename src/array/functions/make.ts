// Arrays made from a few numbers.

import type { DType } from '../../base/dtype.ts';
import { IngotError } from '../../base/errors.ts';
import { type Given, named } from '../arguments.ts';
import type { NDArray } from '../array.ts';
import { arange, fromData, full } from '../creation.ts';

function checkCount(count: number, what: string): void {
  if (Number.isSafeInteger(count) && count >= 0) return;
  throw new IngotError('invalid_argument', `${what}: ${count} is not a number of elements`);
}

export interface LinspaceOptions {
  /** Whether stop is the last of them. Default true. */
  readonly endpoint?: boolean;
  readonly dtype?: DType;
}

/** `count` numbers from start to stop in equal steps, computed in f64; the last is `stop` unless `endpoint` is false. */
export function linspace(
  start: number,
  stop: number,
  count: number | null = 50,
  ...given:
    | Given<[endpoint: boolean, dtype: DType], LinspaceOptions>
    | readonly [dtype: DType, endpoint?: boolean]
): NDArray {
  const mlx = typeof given[0] !== 'string';
  const { endpoint = true, dtype = 'f32' } = named<LinspaceOptions>(
    'linspace',
    mlx ? ['endpoint', 'dtype'] : ['dtype', 'endpoint'],
    given,
  );
  if (count === null) return linspace(start, stop, 50, endpoint, dtype);
  checkCount(count, 'linspace');
  const steps = endpoint ? Math.max(count - 1, 1) : Math.max(count, 1);
  const at = (i: number): number =>
    endpoint && i === count - 1 && count > 1 ? stop : start + ((stop - start) * i) / steps;
  return fromData(
    Array.from({ length: count }, (_, i) => at(i)),
    [count],
    { dtype },
  );
}

/** `base` to the power of linspace(start, stop). */
export function logspace(start: number, stop: number, count = 50, base = 10, dtype: DType = 'f32'): NDArray {
  checkCount(count, 'logspace');
  const steps = Math.max(count - 1, 1);
  return fromData(
    Array.from({ length: count }, (_, i) => base ** (start + ((stop - start) * i) / steps)),
    [count],
    { dtype },
  );
}

/** `count` numbers from start to stop, each a constant factor above the one before. */
export function geomspace(start: number, stop: number, count = 50, dtype: DType = 'f32'): NDArray {
  if (start === 0 || stop === 0 || start * stop < 0) {
    throw new IngotError('invalid_argument', `geomspace: ${start} to ${stop} has no constant factor`);
  }
  checkCount(count, 'geomspace');
  const steps = Math.max(count - 1, 1);
  return fromData(
    Array.from({ length: count }, (_, i) => start * (stop / start) ** (i / steps)),
    [count],
    { dtype },
  );
}

/** Zeros in the shape and dtype of `x`. */
export const zerosLike = (x: NDArray, dtype: DType = x.dtype): NDArray => full(x.shape, 0, dtype);
export const onesLike = (x: NDArray, dtype: DType = x.dtype): NDArray => full(x.shape, 1, dtype);

/** Row i is all zeros but for a one at `ids[i]`, along a new last axis. Ids outside 0 … classes - 1 give zeros. */
export const oneHot = (ids: NDArray, classes: number, dtype: DType = 'f32'): NDArray =>
  ids
    .reshape([...ids.shape, 1])
    .eq(arange(classes, undefined, 1, ids.dtype))
    .cast(dtype);

/** A window of n numbers that begins at `at(0)` and ends at `at(1)`. */
const window = (n: number, what: string, at: (t: number) => number): NDArray => {
  checkCount(n, what);
  return fromData(
    Array.from({ length: n }, (_, i) => (n === 1 ? 1 : at(i / (n - 1)))),
    [n],
  );
};
export const hanning = (n: number): NDArray =>
  window(n, 'hanning', (t) => 0.5 - 0.5 * Math.cos(2 * Math.PI * t));
export const hamming = (n: number): NDArray =>
  window(n, 'hamming', (t) => 0.54 - 0.46 * Math.cos(2 * Math.PI * t));
export const blackman = (n: number): NDArray =>
  window(n, 'blackman', (t) => 0.42 - 0.5 * Math.cos(2 * Math.PI * t) + 0.08 * Math.cos(4 * Math.PI * t));
export const bartlett = (n: number): NDArray => window(n, 'bartlett', (t) => 1 - Math.abs(2 * t - 1));
