// Reductions and running results that leave NaN out.

import { isFloat } from '../../base/dtype.ts';
import type { NDArray } from '../array.ts';
import { where } from '../ops/elementwise/where.ts';
import { takeAlongAxis } from '../ops/indexing/take-along-axis.ts';
import type { Axes } from '../ops/reduce/reduce.ts';
import { cumprod } from '../ops/scan/cumprod.ts';
import { cumsum } from '../ops/scan/cumsum.ts';
import { linesOf, restore } from './lines.ts';
import { toFloats } from './terms.ts';

const without = (x: NDArray, value: number): NDArray => (isFloat(x.dtype) ? where(x.isnan(), value, x) : x);

/** Sum of the elements that are numbers. */
export const nansum = (x: NDArray, axes?: Axes, keepDims = false): NDArray =>
  without(x, 0).sum(axes, keepDims);
export const nanprod = (x: NDArray, axes?: Axes, keepDims = false): NDArray =>
  without(x, 1).prod(axes, keepDims);
/** Mean of the elements that are numbers; NaN where there are none. */
export const nanmean = (x: NDArray, axes?: Axes, keepDims = false): NDArray =>
  toFloats(nansum(x, axes, keepDims)).div(x.isnan().logicalNot().sum(axes, keepDims));
/** Largest number; NaN where there is none. */
export const nanmax = (x: NDArray, axes?: Axes, keepDims = false): NDArray =>
  nanExtreme(x, without(x, Number.NEGATIVE_INFINITY).max(axes, keepDims), axes, keepDims);
export const nanmin = (x: NDArray, axes?: Axes, keepDims = false): NDArray =>
  nanExtreme(x, without(x, Number.POSITIVE_INFINITY).min(axes, keepDims), axes, keepDims);
const nanExtreme = (x: NDArray, y: NDArray, axes: Axes, keepDims: boolean): NDArray =>
  isFloat(x.dtype) ? where(x.isnan().all(axes, keepDims), Number.NaN, y) : y;
/** Place of the largest number along an axis, or in the flat array. */
export const nanargmax = (x: NDArray, axis?: number, keepDims = false): NDArray =>
  without(x, Number.NEGATIVE_INFINITY).argmax(axis, keepDims);
export const nanargmin = (x: NDArray, axis?: number, keepDims = false): NDArray =>
  without(x, Number.POSITIVE_INFINITY).argmin(axis, keepDims);
/** Variance of the elements that are numbers, divided by their count less `correction`. */
export function nanvar(x: NDArray, axes?: Axes, keepDims = false, correction = 0): NDArray {
  const valid = x.isnan().logicalNot();
  const squares = where(valid, x.sub(nanmean(x, axes, true)), 0)
    .square()
    .sum(axes, keepDims);
  return squares.div(valid.sum(axes, keepDims).sub(correction));
}
export const nanstd = (x: NDArray, axes?: Axes, keepDims = false, correction = 0): NDArray =>
  nanvar(x, axes, keepDims, correction).sqrt();
/** Running sums in which NaN counts as 0. */
export const nancumsum = (x: NDArray, axis?: number | null): NDArray => cumsum(without(x, 0), axis);
export const nancumprod = (x: NDArray, axis?: number | null): NDArray => cumprod(without(x, 1), axis);

/** As quantile, of the elements that are numbers. */
export function nanquantile(x: NDArray, q: number, axes?: Axes, keepDims = false): NDArray {
  const a = toFloats(x);
  const { lines, reduced } = linesOf(a, axes, 'nanquantile');
  const sorted = lines.sort(); // NaN last
  const last = lines.isnan().logicalNot().sum(-1, true).sub(1);
  const at = last.cast('f32').mul(q);
  const low = at.floor().cast('i32');
  const pick = (i: NDArray): NDArray => takeAlongAxis(sorted, i.maximum(0), -1);
  const [x0, x1] = [pick(low), pick(low.add(1).minimum(last))];
  const value = x0.add(x1.sub(x0).mul(at.sub(low)));
  const result = where(last.lt(0), Number.NaN, value).reshape(lines.shape.slice(0, -1));
  return restore(result, a, reduced, keepDims);
}
export const nanmedian = (x: NDArray, axes?: Axes, keepDims = false): NDArray =>
  nanquantile(x, 0.5, axes, keepDims);
export const nanpercentile = (x: NDArray, q: number, axes?: Axes, keepDims = false): NDArray =>
  nanquantile(x, q / 100, axes, keepDims);
