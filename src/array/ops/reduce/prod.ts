// prod: Product of the elements.

import type { NDArray } from '../../array.ts';
import { where } from '../elementwise/where.ts';
import { operand } from '../operands.ts';
import { type Axes, expandReduced, reduceAxes, reduceOp, widened } from './reduce.ts';

export const prodOp = reduceOp({
  name: 'prod',
  dtypes: ['f32', 'f16', 'bf16', 'i32', 'u32'],
  result: (dtype) => dtype,
  fold: (v, integers) => v.reduce(integers ? Math.imul : (a, b) => a * b, 1),
  vjp: ({ inputs, outputs, grads, attrs }) => {
    const x = operand(inputs, 0);
    const y = expandReduced(operand(outputs, 0), x, attrs);
    const zero = x.eq(0);
    const zeros = zero.cast('i32').sum(attrs.axes, true);
    // A zero alone in its product has the product of the others as its derivative; beside zeros everything has 0.
    const others = where(zero, 1, x);
    const alone = prod(others, attrs.axes, true);
    const derivative = where(zeros.eq(0), y.div(others), where(zeros.eq(1).logicalAnd(zero), alone, 0));
    return [derivative.mul(expandReduced(operand(grads, 0), x, attrs))];
  },
  accumulates: true,
  fill: 'unit',
});

/** Product of the elements; 8-bit integers and truth values are multiplied as 32-bit integers, which wrap. Over all axes unless some are given. */
export const prod = (x: NDArray, axes?: Axes, keepDims = false): NDArray =>
  x.apply(prodOp, [widened(x)], { axes: reduceAxes(x, axes, 'prod'), keepDims });
