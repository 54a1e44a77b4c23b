// leftShift: Bits of a moved up by b modulo 32.

import type { NDArray } from '../../array.ts';
import { arithmetic, binary, binaryOp, type Term } from './elementwise.ts';

export const leftShiftOp = binaryOp({
  name: 'leftShift',
  opcodes: { i32: 'shl_i32', u32: 'shl_u32' },
  vjp: 'none',
  fill: ['normal', 'index'],
});

/** Bits of a moved up by b modulo 32. Shapes broadcast, dtypes promote. */
export const leftShift = (a: Term, b: Term): NDArray => binary(leftShiftOp, a, b, arithmetic(a, b));
