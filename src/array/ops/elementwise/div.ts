// div: a / b as floats: integers become f32 first.

import type { NDArray } from '../../array.ts';
import { binary, binaryOp, floating, type Term } from './elementwise.ts';

export const divOp = binaryOp({
  name: 'div',
  opcodes: { f32: 'div_f32' },
  vjp: (g, _, b, y) => [g.div(b), g.mul(y).div(b).neg()],
  fill: ['normal', 'positive'],
});

/** a / b as floats: integers become f32 first. Shapes broadcast, dtypes promote. */
export const div = (a: Term, b: Term): NDArray => binary(divOp, a, b, floating(a, b));
