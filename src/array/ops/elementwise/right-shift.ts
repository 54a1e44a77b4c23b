// rightShift: Bits of a moved down by b modulo 32; keeps the sign of i32.

import type { NDArray } from '../../array.ts';
import { arithmetic, binary, binaryOp, type Term } from './elementwise.ts';

export const rightShiftOp = binaryOp({
  name: 'rightShift',
  opcodes: { i32: 'shr_i32', u32: 'shr_u32' },
  vjp: 'none',
  fill: ['normal', 'index'],
});

/** Bits of a moved down by b modulo 32; keeps the sign of i32. Shapes broadcast, dtypes promote. */
export const rightShift = (a: Term, b: Term): NDArray => binary(rightShiftOp, a, b, arithmetic(a, b));
