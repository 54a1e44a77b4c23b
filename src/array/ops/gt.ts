// gt: True where a > b.

import type { NDArray } from '../array.ts';
import { binary, binaryOp } from './elementwise.ts';

export const gtOp = binaryOp({
  name: 'gt',
  opcodes: { f32: 'gt_f32', i32: 'gt_i32', u32: 'gt_u32' },
  vjp: 'none',
  result: 'bool',
});

/** True where a > b. Shapes broadcast, dtypes promote. */
export const gt = (a: NDArray, b: NDArray | number): NDArray => binary(gtOp, a, b);
