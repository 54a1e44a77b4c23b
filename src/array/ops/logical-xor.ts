// logicalXor: True where exactly one is.

import type { NDArray } from '../array.ts';
import { binary, binaryOp } from './elementwise.ts';

export const logicalXorOp = binaryOp({
  name: 'logicalXor',
  opcodes: { bool: 'xor_bool' },
  vjp: 'none',
});

/** True where exactly one is. Shapes broadcast, dtypes promote. */
export const logicalXor = (a: NDArray, b: NDArray): NDArray => binary(logicalXorOp, a, b, 'bool');
