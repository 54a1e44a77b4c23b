// square: x squared.

import type { NDArray } from '../array.ts';
import { unary, unaryOp } from './elementwise.ts';

export const squareOp = unaryOp({
  name: 'square',
  opcodes: { f32: 'square_f32' },
  vjp: (g, x) => g.mul(x).mul(2),
});

/** x squared. */
export const square = (x: NDArray): NDArray => unary(squareOp, x);
