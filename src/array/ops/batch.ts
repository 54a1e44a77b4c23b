// What batch rules share. A batched operand has the batch along axis 0, before the axes that the op knows.

import { type Dim, normalizeAxis } from '../../base/shape.ts';
import type { NDArray } from '../array.ts';
import type { BatchCall } from '../op.ts';
import { operand } from './operands.ts';

/** `x` with `axis` moved to the front. */
export function toFront(x: NDArray, axis: number, what: string): NDArray {
  const at = normalizeAxis(axis, x.shape.length, what);
  return x.transpose([at, ...x.shape.map((_, i) => i).filter((i) => i !== at)]);
}

/** `x` with axis 0 kept and `rank` axes after it: those missing are of size 1, as broadcasting adds them. */
export function padRank(x: NDArray, rank: number): NDArray {
  const missing = rank + 1 - x.shape.length;
  const [first, ...rest] = x.shape;
  return missing <= 0 ? x : x.reshape([first as Dim, ...Array.from({ length: missing }, () => 1), ...rest]);
}

/** Operands of an op that broadcasts them to `rank` axes. */
export const broadcastingBatch = (
  { inputs, batched }: Pick<BatchCall<never>, 'inputs' | 'batched'>,
  rank: number,
): readonly (NDArray | null)[] => inputs.map((x, i) => (x !== null && batched[i] ? padRank(x, rank) : x));

/** Operand i with a batch, repeated where all examples share it. */
export function withBatch(
  { inputs, batched, size }: Pick<BatchCall<never>, 'inputs' | 'batched' | 'size'>,
  i: number,
): NDArray {
  const x = operand(inputs, i);
  return batched[i] ? x : x.broadcastTo([size, ...x.shape]);
}
