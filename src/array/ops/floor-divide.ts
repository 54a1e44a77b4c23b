// floorDivide: Integer quotient rounded toward minus infinity; 0 for a zero divisor.

import type { NDArray } from '../array.ts';
import { arithmetic, binary, binaryOp, type Term } from './elementwise.ts';

export const floorDivideOp = binaryOp({
  name: 'floorDivide',
  opcodes: { i32: 'div_i32', u32: 'div_u32' },
  vjp: 'none',
  fill: ['normal', 'positive'],
});

/** Integer quotient rounded toward minus infinity; 0 for a zero divisor. Shapes broadcast, dtypes promote. */
export const floorDivide = (a: Term, b: Term): NDArray => binary(floorDivideOp, a, b, arithmetic(a, b));
