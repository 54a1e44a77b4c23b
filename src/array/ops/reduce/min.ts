// min: Smallest element.

import type { NDArray } from '../../array.ts';
import { operand } from '../operands.ts';
import { type Axes, expandReduced, reduceAxes, reduceOp, widened } from './reduce.ts';

export const minOp = reduceOp({
  name: 'min',
  dtypes: ['f32', 'f16', 'bf16', 'i32', 'u32'],
  needsElements: true,
  result: (dtype) => dtype,
  fold: (v) => v.reduce((a, b) => Math.min(a, b), Number.POSITIVE_INFINITY),
  vjp: ({ inputs, outputs, grads, attrs }) => {
    // Ties share the gradient.
    const x = operand(inputs, 0);
    const hit = x.eq(expandReduced(operand(outputs, 0), x, attrs)).cast(x.dtype);
    return [hit.div(hit.sum(attrs.axes, true)).mul(expandReduced(operand(grads, 0), x, attrs))];
  },
});

/** Smallest element; NaN if any is. Over all axes unless some are given. Throws shape_mismatch when they have no elements. */
export function min(x: NDArray, axes?: Axes, keepDims = false): NDArray {
  const attrs = { axes: reduceAxes(x, axes, 'min'), keepDims };
  return x.apply(minOp, [widened(x)], attrs).cast(x.dtype);
}
