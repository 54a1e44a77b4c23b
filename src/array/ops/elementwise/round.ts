// round: Nearest integer, ties to even.

import type { NDArray } from '../../array.ts';
import { rounding, unaryOp } from './elementwise.ts';

export const roundOp = unaryOp({
  name: 'round',
  opcodes: { f32: 'round_f32' },
  vjp: 'zero',
});

/** Nearest integer, ties to even. */
export const round = (x: NDArray): NDArray => rounding(roundOp, x);
