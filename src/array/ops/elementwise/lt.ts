// lt: True where a < b.

import type { NDArray } from '../../array.ts';
import { arithmetic, binary, binaryOp, type Term } from './elementwise.ts';

export const ltOp = binaryOp({
  name: 'lt',
  opcodes: { f32: 'lt_f32', i32: 'lt_i32', u32: 'lt_u32' },
  vjp: 'none',
  result: 'bool',
});

/** True where a < b. Shapes broadcast, dtypes promote. */
export const lt = (a: Term, b: Term): NDArray => binary(ltOp, a, b, arithmetic(a, b));
