// cumprod: running product along an axis.

import type { NDArray } from '../../array.ts';
import { type SumScanOptions, scanAlong, scanOp, summable } from './scan.ts';

export const cumprodOp = scanOp({
  name: 'cumprod',
  dtypes: ['f32', 'f16', 'bf16', 'i32', 'u32'],
  empty: () => 1,
  fold: (before, x, integers) => (integers ? Math.imul(before, x) : before * x),
  join: (before, x) => before.mul(x),
  vjp: 'composite',
  error: (steps) => ({ absolute: 0, relative: 2 * steps }),
});

/** Running product along `axis`; over the elements in their order without one. 8-bit integers as 32-bit ones, which wrap. */
export const cumprod = (x: NDArray, axis?: number | null, options: SumScanOptions = {}): NDArray =>
  scanAlong(cumprodOp, summable(x, options), axis, options);
