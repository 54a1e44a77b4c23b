// sigmoid: 1 / (1 + exp(-x)).

import type { NDArray } from '../../array.ts';
import { unary, unaryOp } from './elementwise.ts';

export const sigmoidOp = unaryOp({
  name: 'sigmoid',
  opcodes: { f32: 'sigmoid_f32' },
  vjp: (g, _, y) => g.mul(y).mul(y.neg().add(1)),
});

/** 1 / (1 + exp(-x)). */
export const sigmoid = (x: NDArray): NDArray => unary(sigmoidOp, x);
