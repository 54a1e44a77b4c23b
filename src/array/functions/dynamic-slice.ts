// Pieces whose place is an array: where a slice begins is known when the program runs.

import { IngotError } from '../../base/errors.ts';
import { formatShape, normalizeAxis } from '../../base/shape.ts';
import { NDArray } from '../array.ts';
import { arange } from '../creation.ts';
import { lift, type Term } from '../ops/elementwise/elementwise.ts';
import { where } from '../ops/elementwise/where.ts';
import { fixed } from '../ops/operands.ts';
import { slice as fixedSlice, type Index } from '../ops/shape/slice.ts';
import { sliceUpdate as fixedUpdate } from './indexing.ts';
import { alongAxis } from './terms.ts';

/** Axes from the front, and the place along each as an array of shape []. */
function placesOf(
  x: NDArray,
  start: NDArray,
  axes: readonly number[],
  what: string,
): readonly (readonly [axis: number, place: NDArray])[] {
  const list = axes.map((a) => normalizeAxis(a, x.shape.length, what));
  if (start.size !== list.length || new Set(list).size !== list.length) {
    throw new IngotError(
      'invalid_argument',
      `${what}: starts ${formatShape(start.shape)} are not one for each of the axes [${axes}]`,
    );
  }
  const flat = start.cast('i32').reshape([-1]);
  return list.map((axis, i) => [axis, alongAxis(flat, 0, [i, i + 1]).reshape([])] as const);
}

/**
 * The piece of `x` at these indices (ranges, numbers, '...', 'newaxis'); or the piece of `size`, one for each axis of `x`, that begins
 * at the elements of an array of places along `axes`. A place outside fails the run.
 */
export function slice(x: NDArray, start: NDArray, axes: readonly number[], size: readonly number[]): NDArray;
export function slice(x: NDArray, ...indices: readonly Index[]): NDArray;
export function slice(x: NDArray, ...given: readonly unknown[]): NDArray {
  const [start, axes, size] = given as [NDArray, readonly number[], readonly number[]];
  if (!(start instanceof NDArray)) return fixedSlice(x, ...(given as readonly Index[]));
  if (size.length !== x.shape.length) {
    throw new IngotError(
      'invalid_argument',
      `slice: sizes [${size}] are not one for each axis of ${formatShape(x.shape)}`,
    );
  }
  const piece = placesOf(x, start, axes, 'slice').reduce<NDArray>(
    (y, [axis, place]) => y.take(arange(size[axis] as number).add(place), axis),
    x,
  );
  return fixedSlice(piece, ...size.map((n) => [0, n] as const));
}

/**
 * `x` with `update`, broadcast, in the piece that slice(...indices) would give; or with an update that begins at the elements of an array
 * of places along `axes`. What of it would lie outside is left out.
 */
export function sliceUpdate(x: NDArray, update: NDArray, start: NDArray, axes: readonly number[]): NDArray;
export function sliceUpdate(x: NDArray, update: Term, ...indices: readonly Index[]): NDArray;
export function sliceUpdate(x: NDArray, update: Term, ...given: readonly unknown[]): NDArray {
  const [start, axes] = given as [NDArray, readonly number[]];
  if (!(start instanceof NDArray)) return fixedUpdate(x, update, ...(given as readonly Index[]));
  const piece = lift(update, x.dtype, x, 'sliceUpdate');
  const rank = x.shape.length;
  if (piece.shape.length > rank) {
    throw new IngotError(
      'shape_mismatch',
      `sliceUpdate: an update ${formatShape(piece.shape)} has more axes than ${formatShape(x.shape)}`,
    );
  }
  const moved = new Map(placesOf(x, start, axes, 'sliceUpdate'));
  let wide = piece.reshape([...x.shape.slice(piece.shape.length).map(() => 1), ...piece.shape]);
  let inside: NDArray | null = null;
  for (let axis = 0; axis < rank; axis++) {
    const [n, size] = [fixed(x.shape[axis], 'sliceUpdate'), fixed(wide.shape[axis], 'sliceUpdate')];
    const place = moved.get(axis);
    if (place === undefined && size === 1) continue;
    const at = arange(n).sub(place ?? 0);
    const own = at
      .ge(0)
      .logicalAnd(at.lt(size))
      .reshape(x.shape.map((_, i) => (i === axis ? n : 1)));
    inside = inside === null ? own : inside.logicalAnd(own);
    wide = wide.take(at.maximum(0).minimum(size - 1), axis);
  }
  return inside === null ? wide.broadcastTo(x.shape) : where(inside, wide, x);
}
