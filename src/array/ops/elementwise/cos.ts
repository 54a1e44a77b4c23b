// cos: Cosine of radians.

import type { NDArray } from '../../array.ts';
import { unary, unaryOp } from './elementwise.ts';

export const cosOp = unaryOp({
  name: 'cos',
  opcodes: { f32: 'cos_f32' },
  vjp: (g, x) => g.mul(x.sin()).neg(),
});

/** Cosine of radians. */
export const cos = (x: NDArray): NDArray => unary(cosOp, x);
