// mul: a b.

import type { NDArray } from '../array.ts';
import { arithmetic, binary, binaryOp } from './elementwise.ts';

export const mulOp = binaryOp({
  name: 'mul',
  opcodes: { f32: 'mul_f32', i32: 'mul_i32', u32: 'mul_u32' },
  vjp: (g, a, b) => [g.mul(b), g.mul(a)],
});

/** a b. Shapes broadcast, dtypes promote. */
export const mul = (a: NDArray, b: NDArray | number): NDArray => binary(mulOp, a, b, arithmetic(a, b));
