// Pieces of arrays by places, masks and windows, with PyTorch's names: what takes out, and what writes back.

import { IngotError } from '../../base/errors.ts';
import { formatShape } from '../../base/shape.ts';
import type { NDArray } from '../array.ts';
import { arange } from '../creation.ts';
import { expandDims, repeat as repeatEach, split } from '../derived.ts';
import type { Term } from '../ops/elementwise/elementwise.ts';
import { where } from '../ops/elementwise/where.ts';
import { take } from '../ops/indexing/take.ts';
import { type Axes, reduceAxes } from '../ops/reduce/reduce.ts';
import { cumsum } from '../ops/scan/cumsum.ts';
import { arraySplit } from './arrange.ts';
import { scatter, select } from './indexing.ts';
import { eye, moveaxis } from './shape.ts';
import { alongAxis, axisOf, toArray } from './terms.ts';

/** At most `count` pieces along an axis, all but the last of the same size. */
export function chunk(x: NDArray, count: number, axis = 0): readonly NDArray[] {
  const [at, n] = axisOf(x, axis, 'chunk');
  if (!Number.isInteger(count) || count < 1) {
    throw new IngotError('invalid_argument', `chunk: ${count} is not a number of pieces`);
  }
  const size = Math.max(1, Math.ceil(n / count));
  const pieces = Math.max(1, Math.ceil(n / size));
  return Array.from({ length: pieces }, (_, i) => alongAxis(x, at, [i * size, Math.min(n, (i + 1) * size)]));
}

/** `parts` pieces as equal as they can be, or pieces that end at the places given. */
export const tensorSplit = (x: NDArray, parts: number | readonly number[], axis = 0): readonly NDArray[] =>
  typeof parts === 'number' ? arraySplit(x, parts, axis) : split(x, parts, axis);

/** `length` elements of an axis from `start` on. Throws invalid_argument when the axis has fewer. */
export function narrow(x: NDArray, axis: number, start: number, length: number): NDArray {
  const [at, n] = axisOf(x, axis, 'narrow');
  const from = start < 0 ? start + n : start;
  if (from < 0 || length < 0 || from + length > n) {
    throw new IngotError(
      'invalid_argument',
      `narrow: ${length} elements from ${start} are not in axis ${axis} of ${formatShape(x.shape)}`,
    );
  }
  return alongAxis(x, at, [from, from + length]);
}

/** Elements at the places of the flat array: as take without an axis. */
export const put = (x: NDArray, places: NDArray, values: Term): NDArray =>
  scatter(x.reshape([-1]), places, values).reshape(x.shape);
/** Pieces along an axis at places; PyTorch's order of arguments. */
export const indexSelect = (x: NDArray, axis: number, places: NDArray): NDArray => take(x, places, axis);
/** `x` plus updates at places along an axis. */
export const indexAdd = (x: NDArray, axis: number, places: NDArray, updates: Term): NDArray =>
  scatter(x, places, updates, 'add', axis);
/** `x` with updates at places along an axis. */
export const indexCopy = (x: NDArray, axis: number, places: NDArray, updates: Term): NDArray =>
  scatter(x, places, updates, 'set', axis);
export const indexFill = indexCopy;

/** `x` with `value` where the mask holds. */
export const maskedFill = (x: NDArray, mask: Term, value: Term): NDArray =>
  where(mask, value, x).cast(x.dtype);
/** `x` with the next of `values`, in their order, where the mask holds. */
export function maskedScatter(x: NDArray, mask: NDArray, values: NDArray): NDArray {
  const wide = mask.broadcastTo(x.shape);
  const flat = values.reshape([-1]);
  const [, n] = axisOf(flat, 0, 'maskedScatter');
  const rank = cumsum(wide.reshape([-1]).cast('i32'), 0)
    .sub(1)
    .maximum(0)
    .minimum(Math.max(0, n - 1));
  return where(wide, take(flat, rank, 0).reshape(x.shape), x);
}

/** Elements where the mask, which broadcasts, holds; how many is known when they are computed. */
export const maskedSelect = (x: NDArray, mask: NDArray): Promise<NDArray> =>
  select(x, mask.broadcastTo(x.shape));
/** Elements where the condition is not 0. */
export const extract = (condition: NDArray, x: NDArray): Promise<NDArray> =>
  select(x.reshape([-1]), condition.reshape([-1]).cast('bool'));
/** Pieces along an axis (default: elements of the flat array) where the condition is not 0. */
export async function compress(condition: NDArray, x: NDArray, axis?: number): Promise<NDArray> {
  const y = axis === undefined ? x.reshape([-1]) : x;
  const [at] = axisOf(y, axis ?? 0, 'compress');
  const [, n] = axisOf(condition, 0, 'compress');
  const places = await select(arange(n), condition.cast('bool'));
  return take(y, places, at);
}

/** Matrices with the vectors of the last axis on their diagonals. */
export const diagEmbed = (x: NDArray): NDArray => {
  const [, n] = axisOf(x, -1, 'diagEmbed');
  return where(eye(n, n, 0, 'bool'), expandDims(x, -1), toArray(0).cast(x.dtype));
};
/** `x` with `value` on the diagonal of its last two axes. */
export function fillDiagonal(x: NDArray, value: Term): NDArray {
  const [[, m], [, n]] = [axisOf(x, -2, 'fillDiagonal'), axisOf(x, -1, 'fillDiagonal')];
  return where(eye(m, n, 0, 'bool'), value, x).cast(x.dtype);
}

/** Element i of the choices at each place, by the integers i. */
export function choose(places: NDArray, choices: readonly NDArray[]): NDArray {
  const [first, ...rest] = choices;
  if (first === undefined) throw new IngotError('invalid_argument', 'choose: there are no choices');
  return rest.reduce<NDArray>((y, c, i) => where(places.eq(i + 1), c, y), where(places.eq(0), first, first));
}

/** Each element repeated: along an axis, or of the flat array. */
export const repeatInterleave = repeatEach;
/** Windows of `size` elements, `step` apart, of an axis: a new last axis. */
export function unfold(x: NDArray, axis: number, size: number, step: number): NDArray {
  const [at, n] = axisOf(x, axis, 'unfold');
  const count = Math.floor((n - size) / step) + 1;
  if (size < 1 || step < 1 || count < 1) {
    throw new IngotError(
      'invalid_argument',
      `unfold: windows of ${size} by ${step} do not fit axis ${axis} of ${formatShape(x.shape)}`,
    );
  }
  const places = arange(count)
    .mul(step)
    .reshape([count, 1])
    .add(arange(size).reshape([1, size]));
  return moveaxis(take(x, places, at), at + 1, -1);
}

/** The flat elements, cut off or repeated to fill a shape. */
export function resize(x: NDArray, shape: readonly number[]): NDArray {
  const flat = x.reshape([-1]);
  const [, n] = axisOf(flat, 0, 'resize');
  const size = shape.reduce((p, d) => p * d, 1);
  if (n === 0) throw new IngotError('shape_mismatch', 'resize: there are no elements to repeat');
  return take(flat, arange(size).mod(n), 0).reshape(shape);
}

/** An axis moved in front of another one. */
export function rollaxis(x: NDArray, axis: number, start = 0): NDArray {
  const rank = x.shape.length;
  const [from, to] = [axis < 0 ? axis + rank : axis, start < 0 ? start + rank : start];
  return moveaxis(x, from, to > from ? to - 1 : to);
}

/** Elements of the k-th smallest value along an axis (k from 1), and their places. */
export function kthvalue(x: NDArray, k: number, axis = -1): readonly [values: NDArray, places: NDArray] {
  const [at, n] = axisOf(x, axis, 'kthvalue');
  if (!Number.isInteger(k) || k < 1 || k > n) {
    throw new IngotError('invalid_argument', `kthvalue: ${k} is not from 1 to ${n}`);
  }
  const shape = x.shape.filter((_, i) => i !== at);
  const pick = (y: NDArray): NDArray => alongAxis(y, at, [k - 1, k]).reshape(shape);
  return [pick(x.sort(at)), pick(x.argsort(at))];
}

/** `x` with each piece along an axis scaled to a norm of at most `most`. */
export function renorm(x: NDArray, p: number, axis: number, most: number): NDArray {
  const [at] = axisOf(x, axis, 'renorm');
  const others = reduceAxes(x, x.shape.map((_, i) => i).filter((i) => i !== at) as Axes, 'renorm');
  const norms = x
    .abs()
    .pow(p)
    .sum(others, true)
    .pow(1 / p);
  return x.mul(where(norms.gt(most), norms.add(1e-7).reciprocal().mul(most), 1));
}
