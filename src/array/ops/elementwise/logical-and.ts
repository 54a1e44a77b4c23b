// logicalAnd: True where both are.

import type { NDArray } from '../../array.ts';
import { binary, binaryOp, type Term } from './elementwise.ts';

export const logicalAndOp = binaryOp({
  name: 'logicalAnd',
  opcodes: { bool: 'and_bool' },
  vjp: 'none',
});

/** True where both are. Shapes broadcast, dtypes promote. */
export const logicalAnd = (a: Term, b: Term): NDArray => binary(logicalAndOp, a, b, 'bool');
