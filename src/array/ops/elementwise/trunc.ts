// trunc: x without its fraction.

import type { NDArray } from '../../array.ts';
import { rounding, unaryOp } from './elementwise.ts';

export const truncOp = unaryOp({
  name: 'trunc',
  opcodes: { f32: 'trunc_f32' },
  vjp: 'zero',
});

/** x without its fraction. */
export const trunc = (x: NDArray): NDArray => rounding(truncOp, x);
