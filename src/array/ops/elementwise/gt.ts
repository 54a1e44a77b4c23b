// gt: True where a > b.

import type { NDArray } from '../../array.ts';
import { arithmetic, binary, binaryOp, type Term } from './elementwise.ts';

export const gtOp = binaryOp({
  name: 'gt',
  opcodes: { f32: 'gt_f32', i32: 'gt_i32', u32: 'gt_u32' },
  vjp: 'none',
  result: 'bool',
});

/** True where a > b. Shapes broadcast, dtypes promote. */
export const gt = (a: Term, b: Term): NDArray => binary(gtOp, a, b, arithmetic(a, b));
