// max: Largest element.

import type { NDArray } from '../../array.ts';
import { operand } from '../operands.ts';
import { type Axes, expandReduced, reduceAxes, reduceOp, widened } from './reduce.ts';

export const maxOp = reduceOp({
  name: 'max',
  dtypes: ['f32', 'f16', 'bf16', 'i32', 'u32'],
  needsElements: true,
  result: (dtype) => dtype,
  fold: (v) => v.reduce((a, b) => Math.max(a, b), Number.NEGATIVE_INFINITY),
  vjp: ({ inputs, outputs, grads, attrs }) => {
    // Ties share the gradient.
    const x = operand(inputs, 0);
    const hit = x.eq(expandReduced(operand(outputs, 0), x, attrs)).cast(x.dtype);
    return [hit.div(hit.sum(attrs.axes, true)).mul(expandReduced(operand(grads, 0), x, attrs))];
  },
});

/** Largest element; NaN if any is. Over all axes unless some are given. Throws shape_mismatch when they have no elements. */
export function max(x: NDArray, axes?: Axes, keepDims = false): NDArray {
  const attrs = { axes: reduceAxes(x, axes, 'max'), keepDims };
  return x.apply(maxOp, [widened(x)], attrs).cast(x.dtype);
}
