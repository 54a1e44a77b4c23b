// cummin: smallest element so far along an axis.

import { dtypes } from '../../../base/dtype.ts';
import type { NDArray } from '../../array.ts';
import { highest, type ScanOptions, scanAlong, scanOp } from './scan.ts';

export const cumminOp = scanOp({
  name: 'cummin',
  dtypes,
  empty: highest,
  fold: (before, x) => Math.min(before, x),
  join: (before, x) => before.minimum(x),
  vjp: 'composite',
  error: () => ({ absolute: 0, relative: 0 }),
});

/** Smallest element so far along `axis`; over the elements in their order without one. From a NaN on it is NaN. */
export const cummin = (x: NDArray, axis?: number | null, options: ScanOptions = {}): NDArray =>
  scanAlong(cumminOp, x, axis, options);
