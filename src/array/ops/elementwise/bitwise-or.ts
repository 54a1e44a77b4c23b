// bitwiseOr: Bits set in either.

import type { NDArray } from '../../array.ts';
import { binary, binaryOp, type Term } from './elementwise.ts';

export const bitwiseOrOp = binaryOp({
  name: 'bitwiseOr',
  opcodes: { i32: 'or_i32', u32: 'or_u32', bool: 'or_bool' },
  vjp: 'none',
});

/** Bits set in either. Shapes broadcast, dtypes promote. */
export const bitwiseOr = (a: Term, b: Term): NDArray => binary(bitwiseOrOp, a, b);
