// rsqrt: 1 / sqrt(x).

import type { NDArray } from '../../array.ts';
import { unary, unaryOp } from './elementwise.ts';

export const rsqrtOp = unaryOp({
  name: 'rsqrt',
  opcodes: { f32: 'rsqrt_f32' },
  vjp: (g, x, y) => g.mul(y).div(x).mul(-0.5),
  fill: 'positive',
});

/** 1 / sqrt(x). */
export const rsqrt = (x: NDArray): NDArray => unary(rsqrtOp, x);
