// sum: Sum of the elements.

import { type Shape, sameShape } from '../../../base/shape.ts';
import type { NDArray } from '../../array.ts';
import { operand } from '../operands.ts';
import { type Axes, expandReduced, reduceAxes, reduceOp, widened } from './reduce.ts';

export const sumOp = reduceOp({
  name: 'sum',
  dtypes: ['f32', 'f16', 'bf16', 'i32', 'u32'],
  result: (dtype) => dtype,
  fold: (v) => v.reduce((a, b) => a + b, 0),
  vjp: ({ inputs, grads, attrs }) => {
    const x = operand(inputs, 0);
    return [expandReduced(operand(grads, 0), x, attrs).broadcastTo(x.shape)];
  },
  accumulates: true,
});

/** Sum of the elements; 8-bit integers and truth values are summed as 32-bit integers, which wrap. Over all axes unless some are given. */
export const sum = (x: NDArray, axes?: Axes, keepDims = false): NDArray =>
  x.apply(sumOp, [widened(x)], {
    axes: reduceAxes(x, axes, 'sum'),
    keepDims,
  });

/** Sums `g` over the axes along which a value of `shape` was broadcast: the gradient of broadcasting. */
export function sumTo(g: NDArray, shape: Shape): NDArray {
  if (sameShape(g.shape, shape)) return g;
  const extra = g.shape.length - shape.length;
  const axes = g.shape
    .map((_, i) => i)
    .filter((i) => i < extra || (shape[i - extra] === 1 && g.shape[i] !== 1));
  return sum(g, axes).reshape(shape);
}
