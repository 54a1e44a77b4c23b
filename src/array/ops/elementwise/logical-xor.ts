// logicalXor: True where exactly one is.

import type { NDArray } from '../../array.ts';
import { binary, binaryOp, type Term } from './elementwise.ts';

export const logicalXorOp = binaryOp({
  name: 'logicalXor',
  opcodes: { bool: 'xor_bool' },
  vjp: 'none',
});

/** True where exactly one is. Shapes broadcast, dtypes promote. */
export const logicalXor = (a: Term, b: Term): NDArray => binary(logicalXorOp, a, b, 'bool');
