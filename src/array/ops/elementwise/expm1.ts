// expm1: exp(x) - 1, exact near 0.

import type { NDArray } from '../../array.ts';
import { unary, unaryOp } from './elementwise.ts';

export const expm1Op = unaryOp({
  name: 'expm1',
  opcodes: { f32: 'expm1_f32' },
  vjp: (g, _, y) => g.mul(y.add(1)),
});

/** exp(x) - 1, exact near 0. */
export const expm1 = (x: NDArray): NDArray => unary(expm1Op, x);
