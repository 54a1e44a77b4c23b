// mean: Arithmetic mean of the elements.

import { isFloat } from '../../../base/dtype.ts';
import type { NDArray } from '../../array.ts';
import { fullLike } from '../creation/full-like.ts';
import { operand } from '../operands.ts';
import { type Axes, expandReduced, reduceAxes, reduceOp } from './reduce.ts';

export const meanOp = reduceOp({
  name: 'mean',
  dtypes: ['f32', 'f16', 'bf16'],
  result: (dtype) => dtype,
  fold: (v) => v.reduce((a, b) => a + b, 0) / v.length,
  vjp: ({ inputs, grads, attrs }) => {
    const x = operand(inputs, 0);
    const g = expandReduced(operand(grads, 0), x, attrs).broadcastTo(x.shape);
    const count = fullLike(x, 1).sum(attrs.axes, true);
    return [g.div(count)];
  },
  accumulates: true,
});

/** Arithmetic mean of the elements. Over all axes unless some are given. */
export const mean = (x: NDArray, axes?: Axes, keepDims = false): NDArray =>
  x.apply(meanOp, [isFloat(x.dtype) ? x : x.cast('f32')], { axes: reduceAxes(x, axes, 'mean'), keepDims });
