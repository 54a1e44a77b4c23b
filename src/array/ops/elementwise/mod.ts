// mod: Remainder with the sign of the divisor; 0 for a zero integer divisor.

import type { NDArray } from '../../array.ts';
import { arithmetic, binary, binaryOp, type Term } from './elementwise.ts';

export const modOp = binaryOp({
  name: 'mod',
  opcodes: { f32: 'mod_f32', i32: 'mod_i32', u32: 'mod_u32' },
  vjp: (g, a, b) => [g, g.mul(a.div(b).floor()).neg()],
  fill: ['normal', 'positive'],
});

/** Remainder with the sign of the divisor; 0 for a zero integer divisor. Shapes broadcast, dtypes promote. */
export const mod = (a: Term, b: Term): NDArray => binary(modOp, a, b, arithmetic(a, b));
