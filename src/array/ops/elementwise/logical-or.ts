// logicalOr: True where either is.

import type { NDArray } from '../../array.ts';
import { binary, binaryOp, type Term } from './elementwise.ts';

export const logicalOrOp = binaryOp({
  name: 'logicalOr',
  opcodes: { bool: 'or_bool' },
  vjp: 'none',
});

/** True where either is. Shapes broadcast, dtypes promote. */
export const logicalOr = (a: Term, b: Term): NDArray => binary(logicalOrOp, a, b, 'bool');
