// logcumsumexp: log of the running sum of exp(x) along an axis, without overflow.

import { isFloat } from '../../../base/dtype.ts';
import type { NDArray } from '../../array.ts';
import { where } from '../elementwise/where.ts';
import { floatDtypes } from '../operands.ts';
import { type ScanOptions, scanAlong, scanOp } from './scan.ts';

/** log(exp(a) + exp(b)) of floats, without overflow. */
export function joinLogs(a: NDArray, b: NDArray): NDArray {
  const distance = where(a.eq(b), 0, a.sub(b)).abs(); // equal infinities are no distance apart
  return a.maximum(b).add(distance.neg().exp().log1p());
}

export const logcumsumexpOp = scanOp({
  name: 'logcumsumexp',
  dtypes: floatDtypes,
  empty: () => Number.NEGATIVE_INFINITY,
  fold: (before, x) => {
    const top = Math.max(before, x);
    return top + Math.log1p(Math.exp(before === x ? 0 : -Math.abs(before - x)));
  },
  join: joinLogs,
  vjp: 'composite',
  error: (steps, largest) => ({
    absolute: 4 * Math.log2(2 * steps) * (largest + Math.log(steps) + 1),
    relative: 2,
  }),
});

/** log of the running sum of exp(x) along `axis`, without overflow; over the elements in their order without one. Integers as f32. */
export const logcumsumexp = (x: NDArray, axis?: number | null, options: ScanOptions = {}): NDArray =>
  scanAlong(logcumsumexpOp, isFloat(x.dtype) ? x : x.cast('f32'), axis, options);
