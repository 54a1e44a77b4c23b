// floorDivide: Integer quotient rounded toward minus infinity; 0 for a zero divisor.

import { isFloat } from '../../../base/dtype.ts';
import type { NDArray } from '../../array.ts';
import { div } from './div.ts';
import { arithmetic, binary, binaryOp, commonDtype, type Term } from './elementwise.ts';

export const floorDivideOp = binaryOp({
  name: 'floorDivide',
  opcodes: { i32: 'div_i32', u32: 'div_u32' },
  vjp: 'none',
  fill: ['normal', 'positive'],
});

/** Quotient rounded toward minus infinity; of integers 0 for a zero divisor. Shapes broadcast, dtypes promote. */
export const floorDivide = (a: Term, b: Term): NDArray =>
  isFloat(commonDtype(a, b)) ? div(a, b).floor() : binary(floorDivideOp, a, b, arithmetic(a, b));
