// bitwiseXor: Bits set in exactly one.

import type { NDArray } from '../array.ts';
import { binary, binaryOp } from './elementwise.ts';

export const bitwiseXorOp = binaryOp({
  name: 'bitwiseXor',
  opcodes: { i32: 'xor_i32', u32: 'xor_u32' },
  vjp: 'none',
});

/** Bits set in exactly one. Shapes broadcast, dtypes promote. */
export const bitwiseXor = (a: NDArray, b: NDArray | number): NDArray => binary(bitwiseXorOp, a, b);
