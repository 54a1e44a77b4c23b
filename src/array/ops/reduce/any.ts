// any: True where some element is.

import type { NDArray } from '../../array.ts';
import { type Axes, reduceAxes, reduceOp } from './reduce.ts';

export const anyOp = reduceOp({
  name: 'any',
  dtypes: ['bool'],
  result: () => 'bool',
  fold: (v) => (v.some((x) => x !== 0) ? 1 : 0),
  vjp: 'none',
});

/** True where some element is. Over all axes unless some are given. */
export const any = (x: NDArray, axes?: Axes, keepDims = false): NDArray =>
  x.apply(anyOp, [x.cast('bool')], { axes: reduceAxes(x, axes, 'any'), keepDims });
