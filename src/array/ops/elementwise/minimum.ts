// minimum: The smaller operand; NaN if either is.

import type { NDArray } from '../../array.ts';
import { areBool, binary, binaryOp, type Term } from './elementwise.ts';
import { logicalAnd } from './logical-and.ts';

export const minimumOp = binaryOp({
  name: 'minimum',
  opcodes: { f32: 'min_f32', i32: 'min_i32', u32: 'min_u32' },
  vjp: (g, a, b) => [g.mul(a.le(b).cast(g.dtype)), g.mul(a.gt(b).cast(g.dtype))],
});

/** The smaller operand; NaN if either is. Shapes broadcast, dtypes promote; truth values stay truth values. */
export const minimum = (a: Term, b: Term): NDArray =>
  areBool(a, b) ? logicalAnd(a, b) : binary(minimumOp, a, b);
