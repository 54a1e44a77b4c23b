// ne: True where a differs from b.

import type { NDArray } from '../../array.ts';
import { binary, binaryOp, type Term } from './elementwise.ts';

export const neOp = binaryOp({
  name: 'ne',
  opcodes: { f32: 'ne_f32', i32: 'ne_i32', u32: 'ne_u32', bool: 'ne_bool' },
  vjp: 'none',
  result: 'bool',
});

/** True where a differs from b. Shapes broadcast, dtypes promote. */
export const ne = (a: Term, b: Term): NDArray => binary(neOp, a, b);
