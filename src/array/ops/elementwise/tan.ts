// tan: Tangent of radians.

import type { NDArray } from '../../array.ts';
import { unary, unaryOp } from './elementwise.ts';

export const tanOp = unaryOp({
  name: 'tan',
  opcodes: { f32: 'tan_f32' },
  vjp: (g, _, y) => g.mul(y.square().add(1)),
  fill: 'unit',
});

/** Tangent of radians. */
export const tan = (x: NDArray): NDArray => unary(tanOp, x);
