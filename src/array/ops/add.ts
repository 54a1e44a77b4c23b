// add: a + b.

import type { NDArray } from '../array.ts';
import { arithmetic, binary, binaryOp } from './elementwise.ts';

export const addOp = binaryOp({
  name: 'add',
  opcodes: { f32: 'add_f32', i32: 'add_i32', u32: 'add_u32' },
  vjp: (g) => [g, g],
});

/** a + b. Shapes broadcast, dtypes promote. */
export const add = (a: NDArray, b: NDArray | number): NDArray => binary(addOp, a, b, arithmetic(a, b));
