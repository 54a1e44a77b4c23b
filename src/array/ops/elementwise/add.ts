// add: a + b.

import type { NDArray } from '../../array.ts';
import { areBool, binary, binaryOp, type Term } from './elementwise.ts';
import { logicalOr } from './logical-or.ts';

export const addOp = binaryOp({
  name: 'add',
  opcodes: { f32: 'add_f32', i32: 'add_i32', u32: 'add_u32' },
  vjp: (g) => [g, g],
});

/** a + b. Shapes broadcast, dtypes promote; truth values stay truth values. */
export const add = (a: Term, b: Term): NDArray => (areBool(a, b) ? logicalOr(a, b) : binary(addOp, a, b));
