// exp: e to the x.

import type { NDArray } from '../../array.ts';
import { unary, unaryOp } from './elementwise.ts';

export const expOp = unaryOp({
  name: 'exp',
  opcodes: { f32: 'exp_f32' },
  vjp: (g, _, y) => g.mul(y),
});

/** e to the x. */
export const exp = (x: NDArray): NDArray => unary(expOp, x);
