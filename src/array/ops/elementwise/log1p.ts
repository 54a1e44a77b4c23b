// log1p: log(1 + x), exact near 0.

import type { NDArray } from '../../array.ts';
import { unary, unaryOp } from './elementwise.ts';

export const log1pOp = unaryOp({
  name: 'log1p',
  opcodes: { f32: 'log1p_f32' },
  vjp: (g, x) => g.div(x.add(1)),
  fill: 'positive',
});

/** log(1 + x), exact near 0. */
export const log1p = (x: NDArray): NDArray => unary(log1pOp, x);
