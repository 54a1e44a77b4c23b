// ge: True where a >= b.

import type { NDArray } from '../array.ts';
import { binary, binaryOp } from './elementwise.ts';

export const geOp = binaryOp({
  name: 'ge',
  opcodes: { f32: 'ge_f32', i32: 'ge_i32', u32: 'ge_u32' },
  vjp: 'none',
  result: 'bool',
});

/** True where a >= b. Shapes broadcast, dtypes promote. */
export const ge = (a: NDArray, b: NDArray | number): NDArray => binary(geOp, a, b);
