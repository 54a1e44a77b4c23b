// argmin: Index of the smallest element, the first of equals, as i32.

import type { NDArray } from '../array.ts';
import { type Axes, reduceAxes, reduceOp } from './reduce.ts';

export const argminOp = reduceOp({
  name: 'argmin',
  dtypes: ['f32', 'f16', 'bf16', 'i32', 'u32'],
  result: () => 'i32',
  fold: (v) => v.reduce((best, x, i) => (x < (v[best] as number) ? i : best), 0),
  vjp: 'none',
});

/** Index of the smallest element, the first of equals, as i32. Over all axes unless some are given. */
export const argmin = (x: NDArray, axes?: Axes, keepDims = false): NDArray =>
  x.apply(argminOp, [x], { axes: reduceAxes(x, axes, 'argmin'), keepDims });
