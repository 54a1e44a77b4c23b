// Reduced axes as one last axis, and results with the axes that callers keep.

import { elementCount } from '../../base/shape.ts';
import type { NDArray } from '../array.ts';
import { type Axes, reduceAxes } from '../ops/reduce/reduce.ts';

/** `x` with the reduced axes as one last axis. */
export function linesOf(
  x: NDArray,
  axes: Axes,
  what: string,
): { readonly lines: NDArray; readonly reduced: readonly number[] } {
  const reduced = reduceAxes(x, axes, what);
  const kept = x.shape.map((_, i) => i).filter((i) => !reduced.includes(i));
  const moved = x.transpose([...kept, ...reduced]);
  const size = elementCount(reduced.map((i) => x.shape[i] ?? 1)).mul;
  return { lines: moved.reshape([...kept.map((i) => x.shape[i] ?? 1), size]), reduced };
}

/** `y`, one for each line, with reduced axes of size 1 where they are kept. */
export const restore = (y: NDArray, x: NDArray, reduced: readonly number[], keepDims: boolean): NDArray =>
  keepDims ? y.reshape(x.shape.map((d, i) => (reduced.includes(i) ? 1 : d))) : y;
