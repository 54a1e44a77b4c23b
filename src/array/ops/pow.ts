// pow: a to the b as floats.

import type { NDArray } from '../array.ts';
import { binary, binaryOp, floating } from './elementwise.ts';

export const powOp = binaryOp({
  name: 'pow',
  opcodes: { f32: 'pow_f32' },
  vjp: (g, a, b, y) => [g.mul(b).mul(a.pow(b.sub(1))), g.mul(y).mul(a.log())],
  fill: ['positive', 'normal'],
  errorScale: 4,
});

/** a to the b as floats. Shapes broadcast, dtypes promote. */
export const pow = (a: NDArray, b: NDArray | number): NDArray => binary(powOp, a, b, floating(a, b, 'pow'));
