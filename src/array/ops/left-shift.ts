// leftShift: Bits of a moved up by b modulo 32.

import type { NDArray } from '../array.ts';
import { binary, binaryOp } from './elementwise.ts';

export const leftShiftOp = binaryOp({
  name: 'leftShift',
  opcodes: { i32: 'shl_i32', u32: 'shl_u32' },
  vjp: 'none',
  fill: ['normal', 'index'],
});

/** Bits of a moved up by b modulo 32. Shapes broadcast, dtypes promote. */
export const leftShift = (a: NDArray, b: NDArray | number): NDArray => binary(leftShiftOp, a, b);
