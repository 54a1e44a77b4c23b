// geluTanh: gelu in the tanh approximation.

import type { NDArray } from '../../array.ts';
import { unary, unaryOp } from './elementwise.ts';

export const geluTanhOp = unaryOp({
  name: 'geluTanh',
  opcodes: { f32: 'gelu_tanh_f32' },
  vjp: (g, x) => {
    const c = Math.sqrt(2 / Math.PI);
    const t = x.add(x.square().mul(x).mul(0.044715)).mul(c).tanh();
    const slope = x
      .square()
      .mul(3 * 0.044715)
      .add(1)
      .mul(c);
    return g.mul(t.add(1).mul(0.5).add(t.square().neg().add(1).mul(slope).mul(x).mul(0.5)));
  },
});

/** gelu in the tanh approximation. */
export const geluTanh = (x: NDArray): NDArray => unary(geluTanhOp, x);
