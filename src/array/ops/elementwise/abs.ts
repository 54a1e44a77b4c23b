// abs: Absolute value.

import { isUnsigned } from '../../../base/dtype.ts';
import type { NDArray } from '../../array.ts';
import { unary, unaryOp } from './elementwise.ts';

export const absOp = unaryOp({
  name: 'abs',
  opcodes: { f32: 'abs_f32', i32: 'abs_i32' },
  vjp: (g, x) => g.mul(x.sign()),
});

/** Absolute value. */
export const abs = (x: NDArray): NDArray => (isUnsigned(x.dtype) ? x : unary(absOp, x, false));
