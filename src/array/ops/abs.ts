// abs: Absolute value.

import type { NDArray } from '../array.ts';
import { unary, unaryOp } from './elementwise.ts';

export const absOp = unaryOp({
  name: 'abs',
  opcodes: { f32: 'abs_f32', i32: 'abs_i32' },
  vjp: (g, x) => g.mul(x.sign()),
});

/** Absolute value. */
export const abs = (x: NDArray): NDArray => unary(absOp, x, false);
