// ge: True where a >= b.

import type { NDArray } from '../../array.ts';
import { arithmetic, binary, binaryOp, type Term } from './elementwise.ts';

export const geOp = binaryOp({
  name: 'ge',
  opcodes: { f32: 'ge_f32', i32: 'ge_i32', u32: 'ge_u32' },
  vjp: 'none',
  result: 'bool',
});

/** True where a >= b. Shapes broadcast, dtypes promote. */
export const ge = (a: Term, b: Term): NDArray => binary(geOp, a, b, arithmetic(a, b));
