// tanh: Hyperbolic tangent.

import type { NDArray } from '../../array.ts';
import { unary, unaryOp } from './elementwise.ts';

export const tanhOp = unaryOp({
  name: 'tanh',
  opcodes: { f32: 'tanh_f32' },
  vjp: (g, _, y) => g.mul(y.square().neg().add(1)),
});

/** Hyperbolic tangent. */
export const tanh = (x: NDArray): NDArray => unary(tanhOp, x);
