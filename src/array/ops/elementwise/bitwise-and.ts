// bitwiseAnd: Bits set in both.

import type { NDArray } from '../../array.ts';
import { binary, binaryOp, type Term } from './elementwise.ts';

export const bitwiseAndOp = binaryOp({
  name: 'bitwiseAnd',
  opcodes: { i32: 'and_i32', u32: 'and_u32', bool: 'and_bool' },
  vjp: 'none',
});

/** Bits set in both. Shapes broadcast, dtypes promote. */
export const bitwiseAnd = (a: Term, b: Term): NDArray => binary(bitwiseAndOp, a, b);
