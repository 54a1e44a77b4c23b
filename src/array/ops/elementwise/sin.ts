// sin: Sine of radians.

import type { NDArray } from '../../array.ts';
import { unary, unaryOp } from './elementwise.ts';

export const sinOp = unaryOp({
  name: 'sin',
  opcodes: { f32: 'sin_f32' },
  vjp: (g, x) => g.mul(x.cos()),
});

/** Sine of radians. */
export const sin = (x: NDArray): NDArray => unary(sinOp, x);
