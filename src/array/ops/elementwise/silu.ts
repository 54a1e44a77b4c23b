// silu: x sigmoid(x), also called swish.

import type { NDArray } from '../../array.ts';
import { unary, unaryOp } from './elementwise.ts';

export const siluOp = unaryOp({
  name: 'silu',
  opcodes: { f32: 'silu_f32' },
  vjp: (g, x) => {
    const s = x.sigmoid();
    return g.mul(s).mul(x.mul(s.neg().add(1)).add(1));
  },
});

/** x sigmoid(x), also called swish. */
export const silu = (x: NDArray): NDArray => unary(siluOp, x);
