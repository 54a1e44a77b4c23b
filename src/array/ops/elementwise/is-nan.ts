// isnan: true where x is not a number.

import type { NDArray } from '../../array.ts';
import { unary, unaryOp } from './elementwise.ts';

export const isnanOp = unaryOp({
  name: 'isnan',
  opcodes: { f32: 'isnan_f32' },
  vjp: 'none',
  result: 'bool',
});

/** True where x is not a number. */
export const isnan = (x: NDArray): NDArray => unary(isnanOp, x);
