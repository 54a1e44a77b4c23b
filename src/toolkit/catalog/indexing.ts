// Rows by index. An index outside fails the run; negative ones count from the end.

import type { NDArray } from '../../array/array.ts';
import { oneHot as oneHotOf } from '../../array/functions/make.ts';
import type { Term } from '../../array/ops/elementwise/elementwise.ts';
import { where } from '../../array/ops/elementwise/where.ts';
import { scatterAdd as scatterAddOf } from '../../array/ops/indexing/scatter-add.ts';
import { require } from './common.ts';

/** @formula src[ids] + other
 * @shapes src `[N, D]`, ids `[M]`, other `[M, D]` -> `[M, D]`
 * @gradient src, other
 * @source NumPy's take */
export const gatherAdd = (src: NDArray, ids: NDArray, other: NDArray): NDArray => src.take(ids, 0).add(other);
/** @formula src[ids] · factor
 * @shapes src `[N, D]`, ids `[M]`, factor `[M]` -> `[M, D]`
 * @gradient src, factor
 * @source NumPy's take */
export const gatherScale = (src: NDArray, ids: NDArray, factor: NDArray): NDArray =>
  src.take(ids, 0).mul(factor.reshape([...factor.shape, 1]));
/** Sums of one row are in the order of the updates: the result is the same every time.
 * @formula y[ids[m]] += updates[m], from 0
 * @shapes updates `[M, D]`, ids `[M]` -> `[rows, D]`
 * @gradient updates
 * @source NumPy's add.at */
export const scatterAdd = (updates: NDArray, ids: NDArray, rows: number): NDArray =>
  scatterAddOf(updates, ids, rows);
/** @formula 1 at the index, else 0
 * @shapes ids `[…]` -> f32 `[…, classes]`
 * @gradient none: of indices
 * @source PyTorch's one_hot */
export const oneHot = (ids: NDArray, classes: number): NDArray => oneHotOf(ids, classes);
/** @formula value where the mask holds, else x
 * @shapes x `[…]`, mask bool (broadcasts) -> `[…]`
 * @gradient x, value
 * @source PyTorch's masked_fill */
export function maskedFill(x: NDArray, mask: NDArray, value: Term): NDArray {
  require(mask.dtype === 'bool', `maskedFill: the mask is ${mask.dtype}; it must be bool`);
  return where(mask, value, x);
}
/** Sums of runs of rows, as pooled embeddings are made.
 * @formula y[s] = Σ of x[m] with segments[m] = s
 * @shapes x `[M, D]`, segments i32 `[M]` -> `[count, D]`
 * @gradient x
 * @source JAX's segment_sum */
export const segmentSum = (x: NDArray, segments: NDArray, count: number): NDArray =>
  scatterAddOf(x, segments, count);
