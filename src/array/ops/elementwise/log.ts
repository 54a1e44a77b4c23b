// log: Natural logarithm.

import type { NDArray } from '../../array.ts';
import { unary, unaryOp } from './elementwise.ts';

export const logOp = unaryOp({
  name: 'log',
  opcodes: { f32: 'log_f32' },
  vjp: (g, x) => g.div(x),
  fill: 'positive',
});

/** Natural logarithm. */
export const log = (x: NDArray): NDArray => unary(logOp, x);
