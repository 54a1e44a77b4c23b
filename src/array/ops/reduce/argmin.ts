// argmin: Index of the smallest element, the first of equals, as i32.

import type { NDArray } from '../../array.ts';
import { type Axes, firstBest, reduceAxes, reduceOp, widened } from './reduce.ts';

export const argminOp = reduceOp({
  name: 'argmin',
  dtypes: ['f32', 'f16', 'bf16', 'i32', 'u32'],
  needsElements: true,
  result: () => 'i32',
  fold: (v) => firstBest(v, (x, best) => x < best),
  vjp: 'none',
});

/** Index of the smallest element, the first of equals, as i32; NaN beats every number. Over all axes unless some are given. */
export const argmin = (x: NDArray, axes?: Axes, keepDims = false): NDArray =>
  x.apply(argminOp, [widened(x)], { axes: reduceAxes(x, axes, 'argmin'), keepDims });
