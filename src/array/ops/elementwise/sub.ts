// sub: a - b.

import type { NDArray } from '../../array.ts';
import { arithmetic, binary, binaryOp, type Term } from './elementwise.ts';

export const subOp = binaryOp({
  name: 'sub',
  opcodes: { f32: 'sub_f32', i32: 'sub_i32', u32: 'sub_u32' },
  vjp: (g) => [g, g.neg()],
});

/** a - b. Shapes broadcast, dtypes promote. */
export const sub = (a: Term, b: Term): NDArray => binary(subOp, a, b, arithmetic(a, b));
