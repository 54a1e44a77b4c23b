// sign: -1, 0 or 1.

import { isUnsigned } from '../../../base/dtype.ts';
import type { NDArray } from '../../array.ts';
import { unary, unaryOp } from './elementwise.ts';

export const signOp = unaryOp({
  name: 'sign',
  opcodes: { f32: 'sign_f32', i32: 'sign_i32' },
  vjp: 'zero',
});

/** -1, 0 or 1. */
export const sign = (x: NDArray): NDArray =>
  isUnsigned(x.dtype) ? x.cast('bool').cast(x.dtype) : unary(signOp, x, false);
