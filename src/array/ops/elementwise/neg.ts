// neg: Negation.

import type { NDArray } from '../../array.ts';
import { unary, unaryOp } from './elementwise.ts';
import { sub } from './sub.ts';

export const negOp = unaryOp({
  name: 'neg',
  opcodes: { f32: 'neg_f32', i32: 'neg_i32' },
  vjp: (g) => g.neg(),
});

/** Negation; unsigned integers wrap. */
export const neg = (x: NDArray): NDArray =>
  x.dtype === 'u32' || x.dtype === 'u8' ? sub(0, x) : unary(negOp, x, false);
