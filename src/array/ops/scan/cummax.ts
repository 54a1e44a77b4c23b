// cummax: largest element so far along an axis.

import { dtypes } from '../../../base/dtype.ts';
import type { NDArray } from '../../array.ts';
import { lowest, type ScanOptions, scanAlong, scanOp } from './scan.ts';

export const cummaxOp = scanOp({
  name: 'cummax',
  dtypes,
  empty: lowest,
  fold: (before, x) => Math.max(before, x),
  join: (before, x) => before.maximum(x),
  vjp: 'composite',
  error: () => ({ absolute: 0, relative: 0 }),
});

/** Largest element so far along `axis`; over the elements in their order without one. From a NaN on it is NaN. */
export const cummax = (x: NDArray, axis?: number | null, options: ScanOptions = {}): NDArray =>
  scanAlong(cummaxOp, x, axis, options);
