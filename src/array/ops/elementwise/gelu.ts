// gelu: x times the normal distribution function, exact form.

import type { NDArray } from '../../array.ts';
import { unary, unaryOp } from './elementwise.ts';

export const geluOp = unaryOp({
  name: 'gelu',
  opcodes: { f32: 'gelu_erf_f32' },
  vjp: (g, x) => {
    const cdf = x.mul(Math.SQRT1_2).erf().add(1).mul(0.5);
    const density = x
      .square()
      .mul(-0.5)
      .exp()
      .mul(1 / Math.sqrt(2 * Math.PI));
    return g.mul(cdf.add(x.mul(density)));
  },
});

/** x times the normal distribution function, exact form. */
export const gelu = (x: NDArray): NDArray => unary(geluOp, x);
