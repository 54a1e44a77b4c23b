// bitwiseAnd: Bits set in both.

import type { NDArray } from '../array.ts';
import { binary, binaryOp } from './elementwise.ts';

export const bitwiseAndOp = binaryOp({
  name: 'bitwiseAnd',
  opcodes: { i32: 'and_i32', u32: 'and_u32' },
  vjp: 'none',
});

/** Bits set in both. Shapes broadcast, dtypes promote. */
export const bitwiseAnd = (a: NDArray, b: NDArray | number): NDArray => binary(bitwiseAndOp, a, b);
