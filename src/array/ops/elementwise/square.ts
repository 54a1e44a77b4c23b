// square: x squared.

import { isFloat } from '../../../base/dtype.ts';
import type { NDArray } from '../../array.ts';
import { unary, unaryOp } from './elementwise.ts';

export const squareOp = unaryOp({
  name: 'square',
  opcodes: { f32: 'square_f32' },
  vjp: (g, x) => g.mul(x).mul(2),
});

/** x squared; integers stay integers and wrap. */
export const square = (x: NDArray): NDArray => (isFloat(x.dtype) ? unary(squareOp, x) : x.mul(x));
