// bitwiseNot: All bits flipped.

import type { NDArray } from '../../array.ts';
import { unary, unaryOp } from './elementwise.ts';

export const bitwiseNotOp = unaryOp({
  name: 'bitwiseNot',
  opcodes: { i32: 'not_i32', u32: 'not_u32', bool: 'not_bool' },
  vjp: 'none',
});

/** All bits flipped. */
export const bitwiseNot = (x: NDArray): NDArray => unary(bitwiseNotOp, x, false);
