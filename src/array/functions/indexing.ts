// Writing at indices, and picking by condition. Updates that share a place are joined in order: the indices are sorted, runs of
// one place are joined in log2 n passes, and the last of each run is written.

import { isFloat } from '../../base/dtype.ts';
import { IngotError } from '../../base/errors.ts';
import { formatShape, normalizeAxis, sameShape } from '../../base/shape.ts';
import type { NDArray } from '../array.ts';
import { arange, fromData, full } from '../creation.ts';
import { stack } from '../derived.ts';
import { lift, type Term } from '../ops/elementwise/elementwise.ts';
import { where } from '../ops/elementwise/where.ts';
import { scatterAdd } from '../ops/indexing/scatter-add.ts';
import { indices } from '../ops/indexing/take.ts';
import { fixed } from '../ops/operands.ts';
import { cumsum } from '../ops/scan/cumsum.ts';
import { concat } from '../ops/shape/concat.ts';
import { type Index, type Range, resolveIndices, slice, sliceAttrs, unslice } from '../ops/shape/slice.ts';
import { alongAxis } from './terms.ts';

/** How updates of one place and what is there become one. */
export type ScatterMode = 'set' | 'add' | 'max' | 'min' | 'prod';

const joins: Readonly<Record<ScatterMode, (a: NDArray, b: NDArray) => NDArray>> = {
  set: (_, b) => b,
  add: (a, b) => a.add(b),
  max: (a, b) => a.maximum(b),
  min: (a, b) => a.minimum(b),
  prod: (a, b) => a.mul(b),
};

/**
 * `x` with `updates` at places `ids` along `axis` (default 0). Updates have the shape of ids in place of that axis and broadcast to it.
 * Of several for one place all count, in order: the last one stays for set. Negative indices count from the end.
 */
export function scatter(
  x: NDArray,
  ids: NDArray,
  updates: Term,
  mode: ScatterMode = 'set',
  axis = 0,
): NDArray {
  const at = normalizeAxis(axis, x.shape.length, 'scatter');
  const D = fixed(x.shape[at], 'scatter');
  const order = [at, ...x.shape.map((_, i) => i).filter((i) => i !== at)];
  const rows = x.transpose(order);
  const places = indices(ids, 'scatter');
  const n = places.shape.reduce<number>((p, d) => p * fixed(d, 'scatter'), 1);
  const others = rows.shape.slice(1);
  const before = x.shape.slice(0, at);
  const shape = [...before, ...places.shape, ...x.shape.slice(at + 1)];
  const given = lift(updates, x.dtype, x, 'scatter').broadcastTo(shape);
  const idAxes = places.shape.map((_, i) => at + i);
  const rest = shape.map((_, i) => i).filter((i) => !idAxes.includes(i));
  const list = given.transpose([...idAxes, ...rest]).reshape([n, ...others]);
  const result = n === 0 ? rows : writeRows(rows, places.reshape([n]), list, D, n, mode);
  return result.transpose(x.shape.map((_, i) => order.indexOf(i)));
}

function writeRows(
  rows: NDArray,
  ids: NDArray,
  updates: NDArray,
  D: number,
  n: number,
  mode: ScatterMode,
): NDArray {
  const summed = ['f32', 'f16', 'bf16', 'i32', 'u32'].includes(rows.dtype);
  if (mode === 'add' && summed) return rows.add(scatterAdd(updates, ids, D));
  const place = where(ids.lt(0), ids.add(D), ids);
  const order = place.argsort();
  const sorted = place.take(order, 0);
  const inner = rows.shape.slice(1).map(() => 1);
  let runs = updates.take(order, 0);
  for (let step = 1; step < n && mode !== 'set'; step *= 2) {
    const same = alongAxis(sorted, 0, [step, n]).eq(alongAxis(sorted, 0, [0, n - step]));
    const rest = alongAxis(runs, 0, [step, n]);
    const joined = joins[mode](alongAxis(runs, 0, [0, n - step]), rest);
    const later = where(same.reshape([n - step, ...inner]), joined, rest);
    runs = concat([alongAxis(runs, 0, [0, step]), later], 0);
  }
  // The last update of each place is where the updates of it and of all places before it end.
  const counts = scatterAdd(full([n], 1, 'i32'), ids, D);
  const found = runs.take(cumsum(counts, 0).sub(1).maximum(0), 0);
  return where(counts.gt(0).reshape([D, ...inner]), joins[mode](rows, found).cast(rows.dtype), rows);
}

/** `x` with `values` at `ids` along `axis`, each line by indices of its own: the counterpart of takeAlongAxis; without an axis, over all elements in their order. */
export function putAlongAxis(x: NDArray, ids: NDArray, values: Term, axis?: number | null): NDArray {
  if (axis == null) {
    const list = typeof values === 'object' ? values.broadcastTo(ids.shape).reshape([-1]) : values;
    return putAlongAxis(x.reshape([-1]), ids.reshape([-1]), list, 0).reshape(x.shape);
  }
  const rank = x.shape.length;
  const at = normalizeAxis(axis, rank, 'putAlongAxis');
  const order = [...x.shape.map((_, i) => i).filter((i) => i !== at), at];
  const shape = x.shape.map((d, i) => (i === at ? fixed(ids.shape[at], 'putAlongAxis') : d));
  const [places, given] = [
    indices(ids, 'putAlongAxis').broadcastTo(shape),
    lift(values, x.dtype, x, 'putAlongAxis').broadcastTo(shape),
  ];
  const D = fixed(x.shape[at], 'putAlongAxis');
  const k = fixed(shape[at], 'putAlongAxis');
  const lines = x.shape.reduce<number>((n, d, i) => (i === at ? n : n * fixed(d, 'putAlongAxis')), 1);
  const local = places.transpose(order).reshape([lines, k]);
  const wrapped = where(local.lt(0), local.add(D), local);
  const outside = wrapped
    .lt(0)
    .logicalOr(wrapped.ge(D))
    .cast('i32')
    .mul(lines * D);
  const flat = wrapped
    .add(outside)
    .add(arange(lines).mul(D).reshape([lines, 1]))
    .reshape([lines * k]);
  const moved = x.transpose(order);
  const result = scatter(moved.reshape([lines * D]), flat, given.transpose(order).reshape([lines * k]));
  return result.reshape(moved.shape).transpose(x.shape.map((_, i) => order.indexOf(i)));
}

/** `x` with `update`, broadcast, in the piece that slice(...indices) would give. */
export function sliceUpdate(x: NDArray, update: Term, ...indices: readonly Index[]): NDArray {
  const { ranges } = resolveIndices(x, indices);
  const piece = slice(x, ...ranges);
  const values = lift(update, x.dtype, x, 'sliceUpdate')
    .broadcastTo(slice(x, ...indices).shape)
    .reshape(piece.shape);
  if (piece === x) return values;
  const mask = placed(full(piece.shape, true), x, ranges);
  return where(mask, placed(values, x, ranges), x);
}

/** A piece where the ranges say, zeros elsewhere. */
function placed(piece: NDArray, x: NDArray, ranges: readonly Range[]): NDArray {
  return unslice(piece, x, sliceAttrs(x, ranges));
}

/** Elements where `mask` holds, in their order: how many is known when they are computed. */
export async function select(x: NDArray, mask: NDArray): Promise<NDArray> {
  if (mask.dtype !== 'bool')
    throw new IngotError('invalid_argument', `select: the mask is ${mask.dtype}, not bool`);
  const lead = x.shape.slice(0, mask.shape.length);
  if (!sameShape(lead, mask.shape)) {
    throw new IngotError(
      'shape_mismatch',
      `select: mask ${formatShape(mask.shape)} is not the beginning of ${formatShape(x.shape)}`,
    );
  }
  const places = fromData(await setPlaces(mask));
  return x.reshape([-1, ...x.shape.slice(mask.shape.length)]).take(places, 0);
}

/** Flat places of elements that are not 0. */
async function setPlaces(x: NDArray): Promise<Int32Array> {
  const flags = await x.cast('bool').data();
  const places: number[] = [];
  flags.forEach((f, i) => {
    if (f !== 0) places.push(i);
  });
  return Int32Array.from(places);
}

/** Indices (i32) of the elements that are not 0, one vector for each axis, row-major. */
export async function nonzero(x: NDArray): Promise<readonly NDArray[]> {
  const places = await setPlaces(x);
  const shape = x.shape.map((d) => fixed(d, 'nonzero'));
  return shape.map((size, axis) => {
    const stride = shape.slice(axis + 1).reduce((a, b) => a * b, 1);
    return fromData(places.map((p) => Math.floor(p / stride) % size));
  });
}

/** Rows of indices of the elements that are not 0. */
export async function argwhere(x: NDArray): Promise<NDArray> {
  const columns = await nonzero(x);
  const count = columns[0]?.shape[0] ?? 0;
  return columns.length === 0
    ? full([await setPlaces(x).then((p) => p.length), 0], 0, 'i32')
    : stack(columns, 1).reshape([count, columns.length]);
}

export interface Unique {
  /** Sorted, NaN last and once. */
  readonly values: NDArray;
  /** Place of the first of each in the flat array. */
  readonly indices: NDArray;
  /** Which value each element is, in the shape of the array. */
  readonly inverse: NDArray;
  readonly counts: NDArray;
}

/** The different elements of an array. */
export async function unique(x: NDArray): Promise<Unique> {
  const flat = x.reshape([-1]);
  const order = await flat.argsort().data();
  const data = await flat.cast(isFloat(x.dtype) ? 'f32' : x.dtype).data();
  const firsts: number[] = [];
  const counts: number[] = [];
  const inverse = new Int32Array(order.length);
  order.forEach((place, i) => {
    const [value, before] = [data[place] as number, data[order[i - 1] ?? -1]];
    const same = i > 0 && (value === before || (Number.isNaN(value) && Number.isNaN(before as number)));
    if (!same) {
      firsts.push(place);
      counts.push(0);
    }
    inverse[place] = counts.length - 1;
    counts[counts.length - 1] = (counts.at(-1) as number) + 1;
  });
  const firstPlaces = fromData(Int32Array.from(firsts));
  return {
    values: flat.take(firstPlaces, 0),
    indices: firstPlaces,
    inverse: fromData(
      inverse,
      x.shape.map((d) => fixed(d, 'unique')),
    ),
    counts: fromData(Int32Array.from(counts)),
  };
}
