// cumsum: running sum along an axis.

import type { NDArray } from '../../array.ts';
import { operand } from '../operands.ts';
import { type SumScanOptions, scanAlong, scanOp, summable } from './scan.ts';

export const cumsumOp = scanOp({
  name: 'cumsum',
  dtypes: ['f32', 'f16', 'bf16', 'i32', 'u32'],
  empty: () => 0,
  fold: (before, x, integers) => (integers ? (before + x) % 2 ** 32 : before + x),
  join: (before, x) => before.add(x),
  vjp: ({ inputs, grads, attrs }) => [
    operand(inputs, 0).apply(cumsumOp, [operand(grads, 0)], { ...attrs, reverse: !attrs.reverse }),
  ],
  error: (steps, largest) => ({ absolute: 2 * Math.log2(2 * steps) * steps * largest, relative: 2 }),
});

/** Running sum along `axis`; over the elements in their order without one. 8-bit integers are summed as 32-bit ones, which wrap. */
export const cumsum = (x: NDArray, axis?: number | null, options: SumScanOptions = {}): NDArray =>
  scanAlong(cumsumOp, summable(x, options), axis, options);
