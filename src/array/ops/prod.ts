// prod: Product of the elements.

import type { NDArray } from '../array.ts';
import { operand } from './operands.ts';
import { type Axes, expandReduced, reduceAxes, reduceOp, widened } from './reduce.ts';

export const prodOp = reduceOp({
  name: 'prod',
  dtypes: ['f32', 'f16', 'bf16', 'i32', 'u32'],
  result: (dtype) => dtype,
  fold: (v, integers) => v.reduce(integers ? Math.imul : (a, b) => a * b, 1),
  vjp: ({ inputs, outputs, grads, attrs }) => {
    // Not defined where an element is 0.
    const x = operand(inputs, 0);
    const y = expandReduced(operand(outputs, 0), x, attrs);
    return [y.div(x).mul(expandReduced(operand(grads, 0), x, attrs))];
  },
  accumulates: true,
  fill: 'unit',
});

/** Product of the elements; 8-bit integers and truth values are multiplied as 32-bit integers, which wrap. Over all axes unless some are given. */
export const prod = (x: NDArray, axes?: Axes, keepDims = false): NDArray =>
  x.apply(prodOp, [widened(x)], { axes: reduceAxes(x, axes, 'prod'), keepDims });
