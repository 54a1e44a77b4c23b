// maximum: The larger operand; NaN if either is.

import type { NDArray } from '../array.ts';
import { arithmetic, binary, binaryOp } from './elementwise.ts';

export const maximumOp = binaryOp({
  name: 'maximum',
  opcodes: { f32: 'max_f32', i32: 'max_i32', u32: 'max_u32' },
  vjp: (g, a, b) => [g.mul(a.ge(b).cast(g.dtype)), g.mul(a.lt(b).cast(g.dtype))],
});

/** The larger operand; NaN if either is. Shapes broadcast, dtypes promote. */
export const maximum = (a: NDArray, b: NDArray | number): NDArray =>
  binary(maximumOp, a, b, arithmetic(a, b));
