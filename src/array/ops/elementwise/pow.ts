// pow: a to the b. Integers stay integers and wrap.

import { isFloat } from '../../../base/dtype.ts';
import { IngotError } from '../../../base/errors.ts';
import type { NDArray } from '../../array.ts';
import { arithmetic, binary, binaryOp, commonDtype, type Term } from './elementwise.ts';
import { where } from './where.ts';

export const powOp = binaryOp({
  name: 'pow',
  opcodes: { f32: 'pow_f32', i32: 'pow_i32', u32: 'pow_u32' },
  vjp: (g, a, b, y) => [
    g.mul(where(b.eq(0), 0, b.mul(a.pow(b.sub(1))))),
    // 0 to a positive power stays 0 when the exponent moves.
    g.mul(where(a.eq(0).logicalAnd(b.ge(0)), 0, y.mul(where(a.eq(0), 1, a).log()))),
  ],
  fill: ['positive', 'normal'],
  errorScale: 4,
});

/**
 * a to the b. Shapes broadcast, dtypes promote; integers stay integers and wrap, and a negative exponent gives 0 for bases
 * other than 1 and -1. Throws invalid_argument for integers to a negative number: cast them to f32.
 */
export function pow(a: Term, b: Term): NDArray {
  if (typeof b === 'number' && b < 0 && !isFloat(commonDtype(a, b))) {
    throw new IngotError('invalid_argument', `pow: integers to the ${b} are not integers; cast them to f32`);
  }
  return binary(powOp, a, b, arithmetic(a, b));
}
