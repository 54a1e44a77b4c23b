// sqrt: Square root.

import type { NDArray } from '../../array.ts';
import { unary, unaryOp } from './elementwise.ts';

export const sqrtOp = unaryOp({
  name: 'sqrt',
  opcodes: { f32: 'sqrt_f32' },
  vjp: (g, _, y) => g.div(y.mul(2)),
  fill: 'positive',
});

/** Square root. */
export const sqrt = (x: NDArray): NDArray => unary(sqrtOp, x);
