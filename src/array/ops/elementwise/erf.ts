// erf: Gauss error function.

import type { NDArray } from '../../array.ts';
import { unary, unaryOp } from './elementwise.ts';

export const erfOp = unaryOp({
  name: 'erf',
  opcodes: { f32: 'erf_f32' },
  vjp: (g, x) => g.mul(x.square().neg().exp()).mul(2 / Math.sqrt(Math.PI)),
});

/** Gauss error function. */
export const erf = (x: NDArray): NDArray => unary(erfOp, x);
