// logicalNot: True where x is false (or 0).

import type { NDArray } from '../../array.ts';
import { unary, unaryOp } from './elementwise.ts';

export const logicalNotOp = unaryOp({
  name: 'logicalNot',
  opcodes: { bool: 'not_bool' },
  vjp: 'none',
});

/** True where x is false (or 0). */
export const logicalNot = (x: NDArray): NDArray => unary(logicalNotOp, x.cast('bool'), false);
