// bitwiseXor: Bits set in exactly one.

import type { NDArray } from '../../array.ts';
import { binary, binaryOp, type Term } from './elementwise.ts';

export const bitwiseXorOp = binaryOp({
  name: 'bitwiseXor',
  opcodes: { i32: 'xor_i32', u32: 'xor_u32', bool: 'xor_bool' },
  vjp: 'none',
});

/** Bits set in exactly one. Shapes broadcast, dtypes promote. */
export const bitwiseXor = (a: Term, b: Term): NDArray => binary(bitwiseXorOp, a, b);
