// le: True where a <= b.

import type { NDArray } from '../../array.ts';
import { arithmetic, binary, binaryOp, type Term } from './elementwise.ts';

export const leOp = binaryOp({
  name: 'le',
  opcodes: { f32: 'le_f32', i32: 'le_i32', u32: 'le_u32' },
  vjp: 'none',
  result: 'bool',
});

/** True where a <= b. Shapes broadcast, dtypes promote. */
export const le = (a: Term, b: Term): NDArray => binary(leOp, a, b, arithmetic(a, b));
