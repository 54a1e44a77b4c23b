// reciprocal: 1 / x.

import type { NDArray } from '../../array.ts';
import { unary, unaryOp } from './elementwise.ts';

export const reciprocalOp = unaryOp({
  name: 'reciprocal',
  opcodes: { f32: 'reciprocal_f32' },
  vjp: (g, _, y) => g.mul(y.square()).neg(),
  fill: 'positive',
});

/** 1 / x. */
export const reciprocal = (x: NDArray): NDArray => unary(reciprocalOp, x);
