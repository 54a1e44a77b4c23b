// eq: True where a equals b.

import type { NDArray } from '../../array.ts';
import { binary, binaryOp, type Term } from './elementwise.ts';

export const eqOp = binaryOp({
  name: 'eq',
  opcodes: { f32: 'eq_f32', i32: 'eq_i32', u32: 'eq_u32', bool: 'eq_bool' },
  vjp: 'none',
  result: 'bool',
});

/** True where a equals b. Shapes broadcast, dtypes promote. */
export const eq = (a: Term, b: Term): NDArray => binary(eqOp, a, b);
