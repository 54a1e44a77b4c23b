// argmax: Index of the largest element, the first of equals, as i32.

import type { NDArray } from '../../array.ts';
import { type Axes, firstBest, reduceAxes, reduceOp, widened } from './reduce.ts';

export const argmaxOp = reduceOp({
  name: 'argmax',
  dtypes: ['f32', 'f16', 'bf16', 'i32', 'u32'],
  needsElements: true,
  result: () => 'i32',
  fold: (v) => firstBest(v, (x, best) => x > best),
  vjp: 'none',
});

/** Index of the largest element, the first of equals, as i32; NaN beats every number. Over all axes unless some are given. */
export const argmax = (x: NDArray, axes?: Axes, keepDims = false): NDArray =>
  x.apply(argmaxOp, [widened(x)], { axes: reduceAxes(x, axes, 'argmax'), keepDims });
