// Statistics over axes, and counts of elements.

import { IngotError } from '../../base/errors.ts';
import { formatShape } from '../../base/shape.ts';
import { type Given, named } from '../arguments.ts';
import { NDArray } from '../array.ts';
import { arange, full } from '../creation.ts';
import { clip, stack } from '../derived.ts';
import type { Term } from '../ops/elementwise/elementwise.ts';
import { where } from '../ops/elementwise/where.ts';
import { take } from '../ops/indexing/take.ts';
import type { Axes } from '../ops/reduce/reduce.ts';
import { concat } from '../ops/shape/concat.ts';
import { linesOf, restore } from './lines.ts';
import { eye } from './shape.ts';
import { alongAxis, axisOf, toArray, toFloats } from './terms.ts';

/** The middle element in order, the mean of two for an even number of them; NaN where one is. */
export const median = (x: NDArray, axes?: Axes, keepDims = false): NDArray =>
  quantile(x, 0.5, axes, keepDims);

/**
 * The element at `q` (0 … 1) of the order, between two by their distance to it; NaN where one is, and of nothing. Several `q` give
 * results along new first axes; of an array of them those outside 0 … 1 mean the nearest end.
 */
export function quantile(
  x: NDArray,
  q: number | readonly number[] | NDArray,
  axes?: Axes,
  keepDims = false,
): NDArray {
  if (q instanceof NDArray) return quantilesAt(x, q, axes, keepDims);
  if (typeof q !== 'number') return stack(q.map((part) => quantile(x, part, axes, keepDims)));
  if (!(q >= 0 && q <= 1)) throw new IngotError('invalid_argument', `quantile: ${q} is not from 0 to 1`);
  const a = toFloats(x);
  const { lines, reduced } = linesOf(a, axes, 'quantile');
  const [last, n] = axisOf(lines, -1, 'quantile');
  if (n === 0) return restore(full(lines.shape.slice(0, -1), Number.NaN, a.dtype), a, reduced, keepDims);
  const sorted = lines.sort();
  const at = q * (n - 1);
  const low = Math.min(Math.floor(at), n - 1);
  const pick = (i: number): NDArray => alongAxis(sorted, last, [i, i + 1]).reshape(lines.shape.slice(0, -1));
  const part = at - low;
  const value =
    part === 0
      ? pick(low)
      : pick(low)
          .mul(1 - part)
          .add(pick(low + 1).mul(part));
  return restore(where(lines.isnan().any(-1), Number.NaN, value), a, reduced, keepDims);
}

/** quantile in hundredths. */
export const percentile = (
  x: NDArray,
  q: number | readonly number[],
  axes?: Axes,
  keepDims = false,
): NDArray => quantile(x, typeof q === 'number' ? q / 100 : q.map((part) => part / 100), axes, keepDims);

/** Mean with weights, which are 1 by default; they have the shape of `x`, or are those of one axis. */
export function average(x: NDArray, axis?: number | null, weights?: NDArray): NDArray {
  if (weights === undefined) return x.mean(axis);
  if (axis == null || weights.shape.length === x.shape.length) {
    return x.mul(weights).sum(axis).div(weights.broadcastTo(x.shape).sum(axis));
  }
  const [at] = axisOf(x, axis, 'average');
  const wide = weights.reshape(x.shape.map((d, i) => (i === at ? d : 1)));
  return x.mul(wide).sum(at).div(weights.sum());
}

/** Largest less smallest element. */
export const ptp = (x: NDArray, axes?: Axes, keepDims = false): NDArray =>
  x.max(axes, keepDims).sub(x.min(axes, keepDims));

/** Number of elements that are not 0, as i32. */
export function countNonzero(
  x: NDArray,
  ...given: Given<[axis: Axes, keepDims: boolean], { readonly axis?: Axes; readonly keepDims?: boolean }>
): NDArray {
  const { axis, keepDims } = named<{ axis?: Axes; keepDims?: boolean }>(
    'countNonzero',
    ['axis', 'keepDims'],
    given,
  );
  return x.cast('bool').sum(axis, keepDims);
}

/** Differences of neighbours along an axis, `n` times. */
export function diff(x: NDArray, n = 1, axis = -1): NDArray {
  let result = x;
  for (let i = 0; i < n; i++) {
    const [at, size] = axisOf(result, axis, 'diff');
    const [low, high] = [alongAxis(result, at, [0, Math.max(0, size - 1)]), alongAxis(result, at, [1, size])];
    result = x.dtype === 'bool' ? high.ne(low) : high.sub(low);
  }
  return result;
}

/** Covariances of the rows of a matrix, divided by the number of columns less `correction`. */
export function cov(x: NDArray, correction = 1): NDArray {
  const rows = x.shape.length === 1 ? x.reshape([1, -1]) : x;
  const [, n] = axisOf(rows, 1, 'cov');
  const centred = toFloats(rows).sub(rows.mean(1, true));
  const product = centred.matmul(centred.transpose()).div(n - correction);
  return x.shape.length === 1 ? product.reshape([]) : product;
}

/** Correlations of the rows of a matrix. */
export function corrcoef(x: NDArray): NDArray {
  const c = x.shape.length === 1 ? cov(x).reshape([1, 1]) : cov(x);
  const [, n] = axisOf(c, 0, 'corrcoef');
  const variances = c.mul(eye(n, n, 0, c.dtype)).sum(1);
  const result = c.div(variances.reshape([n, 1]).sqrt()).div(variances.reshape([1, n]).sqrt());
  return x.shape.length === 1 ? result.reshape([]) : result;
}

export interface TrapezoidOptions {
  /** Places of the points. */
  readonly x?: NDArray;
  /** Default 1. */
  readonly dx?: number;
  readonly axis?: number;
}

/** Integral by the trapezoid rule over points that are `dx` apart, or at `x`. */
export function trapezoid(
  y: NDArray,
  ...given: Given<[x: NDArray, dx: number, axis: number], TrapezoidOptions>
): NDArray {
  const { x, dx = 1, axis = -1 } = named<TrapezoidOptions>('trapezoid', ['x', 'dx', 'axis'], given);
  const [at, n] = axisOf(y, axis, 'trapezoid');
  const sums = alongAxis(y, at, [0, n - 1])
    .add(alongAxis(y, at, [1, n]))
    .mul(0.5);
  if (x === undefined) return sums.mul(dx).sum(at);
  const steps = diff(x, 1, -1);
  return sums
    .mul(x.shape.length === 1 ? steps.reshape(y.shape.map((_, i) => (i === at ? n - 1 : 1))) : diff(x, 1, at))
    .sum(at);
}

/** As `quantile`, for an array `q` of any shape: its axes come first. */
function quantilesAt(x: NDArray, q: NDArray, axes: Axes | undefined, keepDims: boolean): NDArray {
  const a = toFloats(x);
  const { lines, reduced } = linesOf(a, axes, 'quantile');
  const [, n] = axisOf(lines, -1, 'quantile');
  const one = restore(lines.sum(-1), a, reduced, keepDims);
  const shape = [...q.shape, ...one.shape];
  if (n === 0) return full(shape, Number.NaN, a.dtype);
  const rows = lines.reshape([-1, n]).sort();
  const at = clip(toFloats(q).reshape([-1]), 0, 1).mul(n - 1);
  const low = at.floor();
  const pick = (i: NDArray): NDArray => take(rows, i.cast('i32').minimum(n - 1), 1);
  const part = at.sub(low);
  const between = pick(low)
    .mul(part.neg().add(1))
    .add(pick(low.add(1)).mul(part));
  const values = where(part.eq(0), pick(low), between); // an infinity above counts for nothing there
  return where(rows.isnan().any(-1, true), Number.NaN, values).transpose().cast(a.dtype).reshape(shape);
}

/**
 * How often each of 0 … length - 1 occurs among integers; others count nowhere. Without a length, which does not follow from the
 * shape, up to the largest of them, once they are computed.
 */
export function bincount(ids: NDArray, length: number): NDArray;
export function bincount(ids: NDArray): Promise<NDArray>;
export function bincount(ids: NDArray, length?: number): NDArray | Promise<NDArray> {
  if (length === undefined) {
    return ids.data().then((values) => {
      let most = -1;
      for (const v of values) most = Math.max(most, v);
      return bincount(ids, most + 1);
    });
  }
  if (!Number.isInteger(length) || length < 0) {
    throw new IngotError('invalid_argument', `bincount: ${length} bins, a count is needed`);
  }
  return ids.reshape([-1, 1]).eq(arange(length)).sum(0);
}

/** How many elements lie in each of `bins` equal parts of a range (default: that of the elements), and the edges of the parts. */
export function histogram(
  x: NDArray,
  bins = 10,
  range?: readonly [low: number, high: number],
): readonly [counts: NDArray, edges: NDArray] {
  const flat = toFloats(x).reshape([-1]);
  const [low, high] = range === undefined ? [flat.min(), flat.max()] : range.map((v) => toFloats(v));
  const [from, to] = [low as NDArray, high as NDArray];
  const equal = to.eq(from); // no width: half to each side
  const start = where(equal, from.sub(0.5), from);
  const width = where(equal, 1, to.sub(from)).div(bins);
  const edges = arange(bins + 1)
    .cast('f32')
    .mul(width)
    .add(start);
  const lower = edges.slice([0, bins]).reshape([1, bins]);
  const upper = edges.slice([1, bins + 1]).reshape([1, bins]);
  const column = flat.reshape([-1, 1]);
  const last = arange(bins)
    .eq(bins - 1)
    .reshape([1, bins]);
  const inside = column.ge(lower).logicalAnd(where(last, column.le(upper), column.lt(upper)));
  return [inside.sum(0), edges];
}

/** Places at which `values` would go into sorted numbers: before equal ones, or after them with side right. */
export function searchsorted(sorted: NDArray, values: Term, side: 'left' | 'right' = 'left'): NDArray {
  if (sorted.shape.length !== 1) {
    const shape = formatShape(sorted.shape);
    throw new IngotError('shape_mismatch', `searchsorted: the sorted numbers are a vector, got ${shape}`);
  }
  if (side !== 'left' && side !== 'right') {
    throw new IngotError('invalid_argument', `searchsorted: side '${side}' is neither left nor right`);
  }
  const v = toArray(values);
  const wide = v.reshape([...v.shape, 1]);
  // NaN is above every number
  const before =
    side === 'left'
      ? sorted.lt(wide).logicalOr(wide.isnan().logicalAnd(sorted.isnan().logicalNot()))
      : sorted.le(wide).logicalOr(wide.isnan());
  return before.sum(-1);
}

/** The bin of each value between ascending edges. */
export const digitize = (x: NDArray, edges: NDArray, right = false): NDArray =>
  searchsorted(edges, x, right ? 'left' : 'right');

/** Values at `x` on the lines between points (xp ascending, fp); the first or last value outside. */
export function interp(x: NDArray, xp: NDArray, fp: NDArray): NDArray {
  const [, n] = axisOf(xp, 0, 'interp');
  const after = searchsorted(xp, x, 'right')
    .maximum(1)
    .minimum(n - 1);
  const [x0, x1] = [xp.take(after.sub(1), 0), xp.take(after, 0)];
  const [y0, y1] = [fp.take(after.sub(1), 0), fp.take(after, 0)];
  const part = x.sub(x0).div(x1.sub(x0)).maximum(0).minimum(1);
  return y0.add(y1.sub(y0).mul(part));
}

/** Discrete convolution of two vectors. */
export function convolve(a: NDArray, b: NDArray, mode: 'full' | 'same' | 'valid' = 'full'): NDArray {
  if (!['full', 'same', 'valid'].includes(mode)) {
    throw new IngotError('invalid_argument', `convolve: mode '${mode}' is none of full, same, valid`);
  }
  if (a.shape.length !== 1 || b.shape.length !== 1) {
    const shapes = `${formatShape(a.shape)} and ${formatShape(b.shape)}`;
    throw new IngotError('shape_mismatch', `convolve: two vectors are needed, got ${shapes}`);
  }
  const [[, m], [, n]] = [axisOf(a, 0, 'convolve'), axisOf(b, 0, 'convolve')];
  if (m < n) return convolve(b, a, mode);
  const zeros = a.mul(0);
  const wide = concat([alongAxis(zeros, 0, [0, n - 1]), a, alongAxis(zeros, 0, [0, n - 1])], 0);
  const places = arange(m + n - 1)
    .reshape([-1, 1])
    .add(arange(n).reshape([1, -1]));
  const full = wide
    .take(places, 0)
    .mul(alongAxis(b, 0, [n - 1, -n - 1, -1]))
    .sum(1);
  if (mode === 'full') return full;
  const start = mode === 'valid' ? n - 1 : (n - 1) >> 1;
  return alongAxis(full, 0, [start, start + (mode === 'valid' ? m - n + 1 : m)]);
}
