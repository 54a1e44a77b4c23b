// all: True where every element is.

import type { NDArray } from '../../array.ts';
import { type Axes, reduceAxes, reduceOp } from './reduce.ts';

export const allOp = reduceOp({
  name: 'all',
  dtypes: ['bool'],
  result: () => 'bool',
  fold: (v) => (v.every((x) => x !== 0) ? 1 : 0),
  vjp: 'none',
});

/** True where every element is. Over all axes unless some are given. */
export const all = (x: NDArray, axes?: Axes, keepDims = false): NDArray =>
  x.apply(allOp, [x.cast('bool')], { axes: reduceAxes(x, axes, 'all'), keepDims });
