// takeAlongAxis: an element of each line along an axis by an index of its own, as one gather over the flattened array.

import { broadcastShapes, normalizeAxis } from '../../../base/shape.ts';
import type { NDArray } from '../../array.ts';
import { arangeOp } from '../creation/arange.ts';
import { fixed, shapeError } from '../operands.ts';
import { alongLastAxis, axisLast } from '../reduce/last-axis.ts';
import { scatterAdd } from './scatter-add.ts';
import { indices } from './take.ts';

/** `x[row, ids[row, j]]` over the last axis; negative indices count from the end. Axes before it are of one size. */
export function pickInRows(x: NDArray, ids: NDArray): NDArray {
  const D = fixed(x.shape.at(-1), 'takeAlongAxis');
  const k = fixed(ids.shape.at(-1), 'takeAlongAxis');
  const rows = ids.shape.slice(0, -1).reduce<number>((n, d) => n * fixed(d, 'takeAlongAxis'), 1);
  if (rows * k === 0) return ids.cast(x.dtype);
  const places = ids.lt(0).cast('i32').mul(D).add(ids);
  // An index that is outside its line must not land in another one.
  const outside = places.lt(0).logicalOr(places.ge(D));
  const starts = ids
    .apply(arangeOp, [], { start: 0, step: D, length: rows, dtype: 'i32' })
    .reshape([rows, 1]);
  const flat = places.reshape([rows, k]).add(starts);
  const checked = flat.add(
    outside
      .reshape([rows, k])
      .cast('i32')
      .mul(rows * D),
  );
  return x
    .reshape([rows * D])
    .take(checked.reshape([rows * k]), 0)
    .reshape(ids.shape);
}

/** Rows of D zeros with `x[row, j]` added at `ids[row, j]`, which are inside: the gradient of pickInRows. */
export function putInRows(x: NDArray, ids: NDArray, D: number): NDArray {
  const k = fixed(ids.shape.at(-1), 'takeAlongAxis');
  const rows = ids.shape.slice(0, -1).reduce<number>((n, d) => n * fixed(d, 'takeAlongAxis'), 1);
  const starts = ids
    .apply(arangeOp, [], { start: 0, step: D, length: rows, dtype: 'i32' })
    .reshape([rows, 1]);
  const places = ids
    .reshape([rows, k])
    .add(starts)
    .reshape([rows * k]);
  return scatterAdd(x.reshape([rows * k]), places, rows * D).reshape([...ids.shape.slice(0, -1), D]);
}

/**
 * Elements of `x` at `ids` along `axis` (default the last; null: of all in their order): the result has the shape of `ids`, whose other axes are those of `x` or 1 (and the
 * other way round). Negative indices count from the end. Throws shape_mismatch for other shapes; an index outside the
 * axis fails the run.
 */
export function takeAlongAxis(x: NDArray, ids: NDArray, axis: number | null = -1): NDArray {
  if (axis === null) return takeAlongAxis(x.reshape([-1]), ids.reshape([-1]), 0);
  const rank = x.shape.length;
  if (ids.shape.length !== rank) {
    shapeError('takeAlongAxis', `indices have ${ids.shape.length} axes, the array ${rank}`);
  }
  const at = normalizeAxis(axis, rank, 'takeAlongAxis');
  const others = (y: NDArray) => y.shape.map((d, i) => (i === at ? 1 : d));
  const common = broadcastShapes(others(x), others(ids), 'takeAlongAxis');
  const widen = (y: NDArray): NDArray =>
    y.broadcastTo(common.map((d, i) => (i === at ? fixed(y.shape[at], 'takeAlongAxis') : d)));
  const [source, wanted] = [widen(x), indices(widen(ids), 'takeAlongAxis')];
  return alongLastAxis(wanted, at, (last) => pickInRows(axisLast(source, at), last));
}
