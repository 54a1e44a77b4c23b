// maximum: The larger operand; NaN if either is.

import type { NDArray } from '../../array.ts';
import { areBool, binary, binaryOp, type Term } from './elementwise.ts';
import { logicalOr } from './logical-or.ts';

export const maximumOp = binaryOp({
  name: 'maximum',
  opcodes: { f32: 'max_f32', i32: 'max_i32', u32: 'max_u32' },
  vjp: (g, a, b) => [g.mul(a.ge(b).cast(g.dtype)), g.mul(a.lt(b).cast(g.dtype))],
});

/** The larger operand; NaN if either is. Shapes broadcast, dtypes promote; truth values stay truth values. */
export const maximum = (a: Term, b: Term): NDArray =>
  areBool(a, b) ? logicalOr(a, b) : binary(maximumOp, a, b);
