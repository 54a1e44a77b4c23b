// neg: Negation.

import type { NDArray } from '../array.ts';
import { unary, unaryOp } from './elementwise.ts';

export const negOp = unaryOp({
  name: 'neg',
  opcodes: { f32: 'neg_f32', i32: 'neg_i32' },
  vjp: (g) => g.neg(),
});

/** Negation. */
export const neg = (x: NDArray): NDArray => unary(negOp, x, false);
