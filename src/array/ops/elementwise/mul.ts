// mul: a b.

import type { NDArray } from '../../array.ts';
import { areBool, binary, binaryOp, type Term } from './elementwise.ts';
import { logicalAnd } from './logical-and.ts';

export const mulOp = binaryOp({
  name: 'mul',
  opcodes: { f32: 'mul_f32', i32: 'mul_i32', u32: 'mul_u32' },
  vjp: (g, a, b) => [g.mul(b), g.mul(a)],
});

/** a b. Shapes broadcast, dtypes promote; truth values stay truth values. */
export const mul = (a: Term, b: Term): NDArray => (areBool(a, b) ? logicalAnd(a, b) : binary(mulOp, a, b));
