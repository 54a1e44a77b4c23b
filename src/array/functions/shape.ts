// Functions that arrange elements: axes, pieces, copies side by side.

import type { DType } from '../../base/dtype.ts';
import { IngotError } from '../../base/errors.ts';
import {
  broadcastShapes,
  checkShape,
  type Dim,
  formatShape,
  normalizeAxis,
  type Shape,
} from '../../base/shape.ts';
import { knownOptions } from '../arguments.ts';
import type { NDArray } from '../array.ts';
import { arange, full } from '../creation.ts';
import type { Term } from '../ops/elementwise/elementwise.ts';
import { where } from '../ops/elementwise/where.ts';
import { fixed } from '../ops/operands.ts';
import { type Axes, reduceAxes } from '../ops/reduce/reduce.ts';
import { concat } from '../ops/shape/concat.ts';
import { alongAxis, axisOf, toArray } from './terms.ts';

/** Axes moved to other places; the others keep their order. */
export function moveaxis(
  x: NDArray,
  source: number | readonly number[],
  destination: number | readonly number[],
): NDArray {
  const rank = x.shape.length;
  const list = (a: number | readonly number[]): readonly number[] =>
    (typeof a === 'number' ? [a] : a).map((i) => normalizeAxis(i, rank, 'moveaxis'));
  const [from, to] = [list(source), list(destination)];
  if (from.length !== to.length || new Set(from).size !== from.length || new Set(to).size !== to.length) {
    throw new IngotError(
      'invalid_argument',
      `moveaxis: [${source}] to [${destination}] does not pair distinct axes`,
    );
  }
  const rest = x.shape.map((_, i) => i).filter((i) => !from.includes(i));
  return x.transpose(
    x.shape.map((_, i) => (to.includes(i) ? (from[to.indexOf(i)] as number) : (rest.shift() as number))),
  );
}

/** One axis as several; one of their sizes may be -1. */
export function unflatten(x: NDArray, axis: number, shape: readonly number[]): NDArray {
  const [at, n] = axisOf(x, axis, 'unflatten');
  const known = shape.filter((d) => d !== -1).reduce((p, d) => p * d, 1);
  const sizes = shape.map((d) => (d === -1 ? n / known : d));
  if (sizes.some((d) => !Number.isInteger(d)) || sizes.reduce((p, d) => p * d, 1) !== n) {
    throw new IngotError(
      'shape_mismatch',
      `unflatten: axis ${axis} of ${formatShape(x.shape)} is not [${shape}]`,
    );
  }
  return x.reshape([...x.shape.slice(0, at), ...sizes, ...x.shape.slice(at + 1)]);
}

/** Copies side by side: `repetitions` of each axis, counted from the last. */
export function tile(x: NDArray, repetitions: number | readonly number[]): NDArray {
  const counts = typeof repetitions === 'number' ? [repetitions] : repetitions;
  checkShape(counts, 'tile: repetitions');
  const rank = Math.max(counts.length, x.shape.length);
  const times = Array.from({ length: rank }, (_, i) => counts[i - rank + counts.length] ?? 1);
  const shape = Array.from({ length: rank }, (_, i) =>
    fixed(x.shape[i - rank + x.shape.length] ?? 1, 'tile'),
  );
  const apart = x.reshape(shape.flatMap((d) => [1, d]));
  const wide = apart.broadcastTo(shape.flatMap((d, i) => [times[i] as number, d]));
  return wide.reshape(shape.map((d, i) => d * (times[i] as number)));
}

/** Elements moved along axes, those that leave at one end come in at the other. Without axes over the flat array. */
export function roll(
  x: NDArray,
  shift: number | readonly number[],
  axis?: number | readonly number[] | null,
): NDArray {
  const shifts = typeof shift === 'number' ? [shift] : shift;
  if (axis == null)
    return rollAxis(
      x.reshape([-1]),
      shifts.reduce((a, b) => a + b, 0),
      0,
    ).reshape(x.shape);
  const given = typeof axis === 'number' ? [axis] : axis;
  const axes = given.length === 1 ? shifts.map(() => given[0] as number) : given; // several shifts of one axis add up
  if (shifts.length !== 1 && shifts.length !== axes.length) {
    throw new IngotError('invalid_argument', `roll: ${shifts.length} shifts for ${axes.length} axes`);
  }
  return axes.reduce<NDArray>((y, a, i) => rollAxis(y, shifts[i] ?? (shifts[0] as number), a), x);
}

function rollAxis(x: NDArray, shift: number, axis: number): NDArray {
  const [at, n] = axisOf(x, axis, 'roll');
  const k = n === 0 ? 0 : ((shift % n) + n) % n;
  return k === 0 ? x : concat([alongAxis(x, at, [n - k, n]), alongAxis(x, at, [0, n - k])], at);
}

/** Order of elements reversed along axes (default all). */
export function flip(x: NDArray, axis?: Axes): NDArray {
  const axes = reduceAxes(x, axis, 'flip');
  return axes.reduce<NDArray>((y, a) => {
    const [at, n] = axisOf(y, a, 'flip');
    return alongAxis(y, at, [n - 1, -n - 1, -1]);
  }, x);
}

/** Quarter turns in the plane of two axes, from the first toward the second. */
export function rot90(x: NDArray, turns = 1, axes: readonly [number, number] = [0, 1]): NDArray {
  const [a, b] = axes.map((i) => normalizeAxis(i, x.shape.length, 'rot90')) as [number, number];
  const swap = (y: NDArray): NDArray => y.transpose(y.shape.map((_, i) => (i === a ? b : i === b ? a : i)));
  switch (((turns % 4) + 4) % 4) {
    case 1:
      return swap(flip(x, b));
    case 2:
      return flip(x, [a, b]);
    case 3:
      return flip(swap(x), b);
    default:
      return x;
  }
}

/** `f` of one array, or of each of several. */
const ofEach = (
  f: (x: NDArray) => NDArray,
): { (x: Term): NDArray; (...x: readonly Term[]): readonly NDArray[] } =>
  ((...x: readonly Term[]) => {
    const all = x.map((t) => f(toArray(t)));
    return all.length === 1 ? all[0] : all;
  }) as ReturnType<typeof ofEach>;

const one = (x: NDArray): NDArray => (x.shape.length === 0 ? x.reshape([1]) : x);
const two = (x: NDArray): NDArray => (x.shape.length < 2 ? x.reshape([1, ...one(x).shape]) : x);
/** At least one axis. Several arrays give a list. */
export const atleast1d = ofEach(one);
/** At least two axes: new ones in front. */
export const atleast2d = ofEach(two);
/** At least three axes: as NumPy adds them, a vector becomes [1, n, 1] and a matrix [m, n, 1]. */
export const atleast3d = ofEach((x) => (x.shape.length >= 3 ? x : x.reshape([...two(x).shape, 1])));

/** Arrays, given one by one or in a list, broadcast to one shape. */
export function broadcastArrays(...given: readonly (NDArray | readonly NDArray[])[]): readonly NDArray[] {
  const arrays = given.flat() as readonly NDArray[];
  const shape = arrays.reduce<Shape>((s, a) => broadcastShapes(s, a.shape, 'broadcastArrays'), []);
  return arrays.map((a) => a.broadcastTo(shape));
}

export type PadWidths =
  | number
  | readonly [width: number]
  | readonly [before: number, after: number]
  | readonly (readonly [number, number])[];
type Gathered = 'edge' | 'reflect' | 'symmetric' | 'wrap';
type Computed = 'linear_ramp' | 'maximum' | 'mean' | 'median' | 'minimum';
/** Modes are NumPy's: elements from x, or one number of each line of it; `linear_ramp` goes from the edge to `value`. */
export type PadMode = 'constant' | Gathered | Computed;

/** The widths of each axis: a number or pair is that of all. Throws invalid_argument for another count of pairs. */
function padPairs(x: NDArray, widths: PadWidths): readonly (readonly [number, number])[] {
  const list: readonly (number | readonly number[])[] = typeof widths === 'number' ? [widths] : widths;
  const pairs = list.every((w) => typeof w === 'number') ? [list as readonly number[]] : list;
  const full = pairs.map((pair) => {
    const both = typeof pair === 'number' || pair.length === 1 ? [pair, pair].flat() : pair;
    return both as readonly [number, number];
  });
  const wrong = full.find((p) => p.length !== 2 || !p.every((n) => Number.isInteger(n) && n >= 0));
  if (wrong !== undefined || (full.length !== 1 && full.length !== x.shape.length)) {
    throw new IngotError(
      'invalid_argument',
      `pad: widths ${JSON.stringify(widths)} are no counts before and after for the ${x.shape.length} axes of ${formatShape(x.shape)}`,
    );
  }
  return x.shape.map((_, i) => (full.length === 1 ? full[0] : full[i]) as readonly [number, number]);
}

/** Elements added around `x`: one width for all sides, a pair for all axes, or a pair for each axis. */
export function pad(x: NDArray, widths: PadWidths, mode: PadMode = 'constant', constant: Term = 0): NDArray {
  const pairs = padPairs(x, widths);
  return pairs.reduce<NDArray>((y, [before, after], axis) => {
    if (before === 0 && after === 0) return y;
    if (mode === 'constant') return padConstant(y, axis, before, after, constant);
    if (mode in ofLines) return padComputed(y, axis, [before, after], mode as Computed, Number(constant));
    return padFrom(y, axis, before, after, mode as Gathered);
  }, x);
}

function padConstant(x: NDArray, axis: number, before: number, after: number, value: Term): NDArray {
  const side = (n: number): readonly NDArray[] =>
    n === 0
      ? []
      : [
          full(
            x.shape.map((d, i) => (i === axis ? n : d)),
            value,
            x.dtype,
          ),
        ];
  return concat([...side(before), x, ...side(after)], axis);
}

const ofLines: Readonly<Record<Computed, ((x: NDArray, axis: number) => NDArray) | null>> = {
  linear_ramp: null,
  maximum: (x, axis) => x.max(axis, true),
  mean: (x, axis) => x.mean(axis, true),
  median: (x, axis) => {
    const n = fixed(x.shape[axis], 'pad');
    return alongAxis(x.sort(axis), axis, [(n - 1) >> 1, (n >> 1) + 1]).mean(axis, true);
  },
  minimum: (x, axis) => x.min(axis, true),
};

/** Padding with a number of each line, or with steps from its ends to `end`. */
function padComputed(
  x: NDArray,
  axis: number,
  widths: readonly [number, number],
  mode: Computed,
  end: number,
): NDArray {
  const n = fixed(x.shape[axis], 'pad');
  const shapeOf = (count: number): Shape => x.shape.map((d, i) => (i === axis ? count : d));
  const sides = widths.map((count, side) => {
    const line = ofLines[mode]?.(x, axis);
    if (line !== undefined) return line.cast(x.dtype).broadcastTo(shapeOf(count));
    const edge = alongAxis(x, axis, side === 0 ? [0, 1] : [n - 1, n]);
    const steps = arange(count).cast('f32').div(Math.max(count, 1));
    const shares = (side === 0 ? steps : flip(steps)).reshape(
      x.shape.map((_, i) => (i === axis ? count : 1)),
    );
    return edge.cast('f32').sub(end).mul(shares).add(end).cast(x.dtype).broadcastTo(shapeOf(count));
  }) as [NDArray, NDArray];
  return concat([sides[0], x, sides[1]], axis);
}

/** Padding from the elements themselves: a gather along the axis. */
function padFrom(x: NDArray, axis: number, before: number, after: number, mode: Gathered): NDArray {
  const n = fixed(x.shape[axis], 'pad');
  const period = ({ edge: n, reflect: 2 * (n - 1), symmetric: 2 * n, wrap: n } as Record<string, number>)[
    mode
  ];
  if (period === undefined) {
    const known = ['constant', 'edge', 'reflect', 'symmetric', 'wrap', ...Object.keys(ofLines)];
    throw new IngotError('invalid_argument', `pad: mode '${mode}' is none of ${known.join(', ')}`);
  }
  if (n === 0 || (mode === 'reflect' && n === 1)) {
    throw new IngotError(
      'shape_mismatch',
      `pad: axis ${axis} of ${formatShape(x.shape)} is too short for mode ${mode}`,
    );
  }
  const places = Array.from({ length: before + n + after }, (_, i) => {
    const at = i - before;
    if (mode === 'edge') return Math.min(Math.max(at, 0), n - 1);
    const r = ((at % period) + period) % period;
    if (mode === 'wrap' || r < n) return r;
    return mode === 'reflect' ? period - r : period - 1 - r;
  });
  return gatherStatic(x, places, axis);
}

/** Elements along an axis at places known now: slices where neighbours follow each other. */
export function gatherStatic(x: NDArray, places: readonly number[], axis: number): NDArray {
  const runs: [number, number][] = [];
  for (const p of places) {
    const last = runs.at(-1);
    if (last !== undefined && last[1] === p) last[1] = p + 1;
    else runs.push([p, p + 1]);
  }
  return concat(
    runs.map(([a, b]) => alongAxis(x, axis, [a, b])),
    axis,
  );
}

/** True where column - row <= k. */
function belowDiagonal(rows: Dim, columns: Dim, k: number): NDArray {
  const [m, n] = [fixed(rows, 'tri'), fixed(columns, 'tri')];
  return arange(n)
    .reshape([1, n])
    .sub(arange(m).reshape([m, 1]))
    .le(k);
}

/** The lower triangle of the last two axes: elements above diagonal k become 0. */
export const tril = (x: NDArray, k = 0): NDArray =>
  where(belowDiagonal(x.shape.at(-2) as Dim, x.shape.at(-1) as Dim, k), x, zeroOf(x));
/** The upper triangle: elements below diagonal k become 0. */
export const triu = (x: NDArray, k = 0): NDArray =>
  where(belowDiagonal(x.shape.at(-2) as Dim, x.shape.at(-1) as Dim, k - 1), zeroOf(x), x);
/** Ones on and below diagonal k. */
export const tri = (rows: number, columns?: number | null, k = 0, dtype?: DType | null): NDArray =>
  belowDiagonal(rows, columns ?? rows, k).cast(dtype ?? 'f32');
/** Ones on diagonal k. */
export function eye(rows: number, columns?: number | null, k = 0, dtype?: DType | null): NDArray {
  const wide = columns ?? rows;
  return arange(wide)
    .reshape([1, wide])
    .sub(arange(rows).reshape([rows, 1]))
    .eq(k)
    .cast(dtype ?? 'f32');
}
export const identityMatrix = (n: number, dtype: DType = 'f32'): NDArray => eye(n, n, 0, dtype);

const zeroOf = (x: NDArray): NDArray => full([], 0, x.dtype);

/** Elements (…, i, i + offset) of two axes, as a new last axis. */
export function diagonal(x: NDArray, offset = 0, axis1 = 0, axis2 = 1): NDArray {
  const rank = x.shape.length;
  const [a, b] = [normalizeAxis(axis1, rank, 'diagonal'), normalizeAxis(axis2, rank, 'diagonal')];
  if (a === b) throw new IngotError('invalid_argument', `diagonal: axes ${axis1} and ${axis2} are one`);
  const last = moveaxis(x, [a, b], [rank - 2, rank - 1]);
  const [m, n] = [fixed(last.shape[rank - 2], 'diagonal'), fixed(last.shape[rank - 1], 'diagonal')];
  const start = offset >= 0 ? offset : -offset * n;
  const length = Math.max(0, offset >= 0 ? Math.min(m, n - offset) : Math.min(m + offset, n));
  const flat = last.reshape([...last.shape.slice(0, -2), m * n]);
  return alongAxis(flat, rank - 2, [
    length === 0 ? 0 : start,
    length === 0 ? 0 : start + (length - 1) * (n + 1) + 1,
    n + 1,
  ]);
}

/** The diagonal k of a matrix, or a matrix with a vector on it. */
export function diag(x: NDArray, k = 0): NDArray {
  if (x.shape.length === 2) return diagonal(x, k);
  if (x.shape.length !== 1)
    throw new IngotError(
      'shape_mismatch',
      `diag: a vector or a matrix is needed, got ${formatShape(x.shape)}`,
    );
  const n = fixed(x.shape[0], 'diag');
  const size = n + Math.abs(k);
  const padded = padConstant(x, 0, Math.max(0, -k), Math.max(0, k), 0); // row i holds x[i + min(k, 0)]
  return where(eye(size, size, k, 'bool'), padded.reshape([size, 1]), zeroOf(x));
}

/** Sum of a diagonal. */
export const trace = (x: NDArray, offset = 0, axis1 = 0, axis2 = 1, dtype?: DType | null): NDArray => {
  const line = diagonal(x, offset, axis1, axis2);
  return (dtype == null ? line : line.cast(dtype)).sum(-1);
};

export interface MeshgridOptions {
  /** `xy` (the default) exchanges the first two axes, as NumPy does. */
  readonly indexing?: 'xy' | 'ij';
  /** Axes of the others have size 1. */
  readonly sparse?: boolean;
}

/** Coordinates of a grid: one array for each vector, which are given one by one or in a list, before the options. */
export function meshgrid(
  ...given: readonly (NDArray | readonly NDArray[] | MeshgridOptions)[]
): readonly NDArray[] {
  const isVectors = (x: (typeof given)[number]): x is NDArray | readonly NDArray[] =>
    Array.isArray(x) || 'shape' in x;
  const vectors = given.filter(isVectors).flat();
  const options = given.find((x): x is MeshgridOptions => !isVectors(x));
  knownOptions('meshgrid', options ?? {}, ['indexing', 'sparse']);
  const { indexing = 'xy', sparse = false } = options ?? {};
  if (indexing !== 'xy' && indexing !== 'ij') {
    throw new IngotError('invalid_argument', `meshgrid: indexing '${indexing}' is neither xy nor ij`);
  }
  const order = vectors.map((_, i) => (indexing === 'xy' && i < 2 && vectors.length > 1 ? 1 - i : i));
  const sizes = vectors.map((v) => fixed(v.reshape([-1]).shape[0], 'meshgrid'));
  const grid = order.map((i) => sizes[i] as number);
  return vectors.map((v, i) => {
    const shape = grid.map((_, axis) => (order[axis] === i ? (sizes[i] as number) : 1));
    return sparse ? v.reshape(shape) : v.reshape(shape).broadcastTo(grid);
  });
}

/** Arrays joined along the axis of columns; vectors become columns. */
export const columnStack = (arrays: readonly NDArray[]): NDArray =>
  concat(
    arrays.map((a) => (a.shape.length < 2 ? a.reshape([-1, 1]) : a)),
    1,
    'columnStack',
  );
/** Arrays one below the other. */
export const vstack = (arrays: readonly NDArray[]): NDArray => concat(arrays.map(two), 0, 'vstack');
/** Arrays side by side. */
export function hstack(arrays: readonly NDArray[]): NDArray {
  const all = arrays.map(one);
  return concat(all, all[0]?.shape.length === 1 ? 0 : 1, 'hstack');
}
/** Arrays along a third axis. */
export const dstack = (arrays: readonly NDArray[]): NDArray =>
  concat(
    arrays.map((x) => atleast3d(x)),
    2,
    'dstack',
  );
