// ceil: Smallest integer not below x.

import type { NDArray } from '../../array.ts';
import { rounding, unaryOp } from './elementwise.ts';

export const ceilOp = unaryOp({
  name: 'ceil',
  opcodes: { f32: 'ceil_f32' },
  vjp: 'zero',
});

/** Smallest integer not below x. */
export const ceil = (x: NDArray): NDArray => rounding(ceilOp, x);
