// Products of arrays beyond matmul, and norms.

import { isFloat } from '../../base/dtype.ts';
import { IngotError } from '../../base/errors.ts';
import { formatShape, normalizeAxis } from '../../base/shape.ts';
import { type Given, named } from '../arguments.ts';
import type { NDArray } from '../array.ts';
import { full } from '../creation.ts';
import { stack } from '../derived.ts';
import { promote } from '../ops/elementwise/elementwise.ts';
import { fixed } from '../ops/operands.ts';
import { widened } from '../ops/reduce/reduce.ts';
import { thinSvd } from './decompositions.ts';
import { alongAxis, axisOf, toFloats } from './terms.ts';

/** matmul over any dtype: integers are multiplied and summed as integers, which wrap. */
export function product(a: NDArray, b: NDArray): NDArray {
  const dtype = promote(a.dtype, b.dtype);
  if (isFloat(dtype)) return a.matmul(b);
  if (a.shape.length === 0 || b.shape.length === 0) {
    throw new IngotError(
      'shape_mismatch',
      `matmul: operands need an axis, got ${formatShape(a.shape)} and ${formatShape(b.shape)}`,
    );
  }
  const [x, y] = [widened(a.cast(dtype)), widened(b.cast(dtype))];
  const [row, column] = [x.shape.length === 1, y.shape.length === 1];
  const left = row ? x.reshape([1, -1]) : x;
  const right = column ? y.reshape([-1, 1]) : y;
  const swapped = right.transpose([
    ...right.shape.map((_, i) => i).slice(0, -2),
    right.shape.length - 1,
    right.shape.length - 2,
  ]);
  const insert = (z: NDArray, at: number): NDArray =>
    z.reshape([...z.shape.slice(0, z.shape.length + at), 1, ...z.shape.slice(z.shape.length + at)]);
  const sums = insert(left, -1).mul(insert(swapped, -2)).sum(-1);
  const shape = sums.shape.filter(
    (_, i) => !(row && i === sums.shape.length - 2) && !(column && i === sums.shape.length - 1),
  );
  return sums.reshape(shape);
}

/** beta c + alpha (a b). */
export function addmm(
  c: NDArray,
  a: NDArray,
  b: NDArray,
  ...given: Given<[alpha: number, beta: number], AddmmOptions>
): NDArray {
  const { alpha = 1, beta = 1 } = named<AddmmOptions>('addmm', ['alpha', 'beta'], given);
  const product = a.matmul(b);
  const scaled = alpha === 1 ? product : product.mul(alpha);
  // with beta 0 c is not read, NaN in it does not matter
  const added = beta === 1 ? c : beta === 0 ? full(c.shape, 0, c.dtype) : c.mul(beta);
  return scaled.add(added);
}
export interface AddmmOptions {
  readonly alpha?: number;
  readonly beta?: number;
}

/** Sums of products over the last axis of both. */
export function inner(a: NDArray, b: NDArray): NDArray {
  if (a.shape.length === 0 || b.shape.length === 0) return a.mul(b);
  return tensordot(a, b, [[-1], [-1]]);
}

/** Products of all pairs of elements. */
export const outer = (a: NDArray, b: NDArray): NDArray => a.reshape([-1, 1]).mul(b.reshape([1, -1]));

/** NumPy's dot: inner product of vectors, matrix product, products with numbers. */
export function dot(a: NDArray, b: NDArray): NDArray {
  if (a.shape.length === 0 || b.shape.length === 0) return a.mul(b);
  if (b.shape.length === 1) return product(a, b);
  return tensordot(a, b, [[-1], [-2]]);
}

/** Sum of products of all elements. */
export const vdot = (a: NDArray, b: NDArray): NDArray =>
  a
    .reshape([-1])
    .mul(b.reshape([-1]))
    .sum();
/** Sums of products along one axis. */
export function vecdot(
  a: NDArray,
  b: NDArray,
  ...given: Given<[axis: number], { readonly axis?: number }>
): NDArray {
  const { axis = -1 } = named<{ axis?: number }>('vecdot', ['axis'], given);
  return a.mul(b).sum(axis);
}

/** Sums of products over pairs of axes: the last `axes` of a with the first of b, or those listed. */
export function tensordot(
  a: NDArray,
  b: NDArray,
  axes: number | readonly [readonly number[], readonly number[]] = 2,
): NDArray {
  const pairs =
    typeof axes === 'number'
      ? ([
          Array.from({ length: axes }, (_, i) => a.shape.length - axes + i),
          Array.from({ length: axes }, (_, i) => i),
        ] as const)
      : axes;
  const [left, right] = [
    pairs[0].map((i) => normalizeAxis(i, a.shape.length, 'tensordot')),
    pairs[1].map((i) => normalizeAxis(i, b.shape.length, 'tensordot')),
  ];
  const sizes = (x: NDArray, list: readonly number[]): readonly number[] =>
    list.map((i) => fixed(x.shape[i], 'tensordot'));
  if (left.length !== right.length || sizes(a, left).some((d, i) => d !== sizes(b, right)[i])) {
    throw new IngotError(
      'shape_mismatch',
      `tensordot: axes [${left}] of ${formatShape(a.shape)} and [${right}] of ${formatShape(b.shape)} differ`,
    );
  }
  const [keptA, keptB] = [
    a.shape.map((_, i) => i).filter((i) => !left.includes(i)),
    b.shape.map((_, i) => i).filter((i) => !right.includes(i)),
  ];
  const count = (list: readonly number[]): number => list.reduce((p, d) => p * d, 1);
  const [m, k, n] = [count(sizes(a, keptA)), count(sizes(a, left)), count(sizes(b, keptB))];
  const x = a.transpose([...keptA, ...left]).reshape([m, k]);
  const y = b.transpose([...right, ...keptB]).reshape([k, n]);
  return product(x, y).reshape([...sizes(a, keptA), ...sizes(b, keptB)]);
}

/** Kronecker product: every element of `a` times all of `b`. */
export function kron(a: NDArray, b: NDArray): NDArray {
  const rank = Math.max(a.shape.length, b.shape.length);
  const wide = (x: NDArray): readonly number[] =>
    Array.from({ length: rank }, (_, i) => fixed(x.shape[i - rank + x.shape.length] ?? 1, 'kron'));
  const [p, q] = [wide(a), wide(b)];
  const products = a.reshape(p.flatMap((d) => [d, 1])).mul(b.reshape(q.flatMap((d) => [1, d])));
  return products.reshape(p.map((d, i) => d * (q[i] as number)));
}

/** Cross product of vectors of 3 along an axis; a third element of 0 is added to those of 2. */
export function cross(a: NDArray, b: NDArray, axis = -1): NDArray {
  const [x, y] = [a, b].map((given) => {
    const [at, own] = axisOf(given, axis, 'cross');
    const v = own === 2 ? given.pad(at, 0, 1) : given;
    const n = own === 2 ? 3 : own;
    if (n !== 3)
      throw new IngotError(
        'shape_mismatch',
        `cross: axis ${axis} of ${formatShape(v.shape)} is not of size 3`,
      );
    return [0, 1, 2].map((i) => alongAxis(v, at, [i, i + 1]).reshape(v.shape.filter((_, k) => k !== at)));
  }) as [NDArray[], NDArray[]];
  const part = (i: number, j: number): NDArray =>
    (x[i] as NDArray).mul(y[j] as NDArray).sub((x[j] as NDArray).mul(y[i] as NDArray));
  return stack([part(1, 2), part(2, 0), part(0, 1)], axis);
}

export type NormOrder = number | 'fro' | 'f' | 'nuc';

/**
 * Norm of vectors (one axis), matrices (two axes) or of all elements. Orders are NumPy's: 2 by default, infinities, 0, any p for
 * vectors; 'fro', 'nuc', 1, -1, 2, -2 and infinities for matrices.
 */
export function norm(
  x: NDArray,
  order?: NormOrder | null,
  axis?: number | readonly number[] | null,
  keepDims = false,
): NDArray {
  const a = toFloats(x);
  const rank = a.shape.length;
  if (axis == null && order == null)
    return vectorNorm(
      a,
      2,
      a.shape.map((_, i) => i),
      keepDims,
    );
  const axes = (axis == null ? a.shape.map((_, i) => i) : typeof axis === 'number' ? [axis] : axis).map((i) =>
    normalizeAxis(i, rank, 'norm'),
  );
  if (axes.length === 1) {
    if (typeof order === 'string')
      throw new IngotError('invalid_argument', `norm: '${order}' is for matrices`);
    return vectorNorm(a, order ?? 2, axes, keepDims);
  }
  if (axes.length !== 2)
    throw new IngotError('invalid_argument', `norm: ${axes.length} axes are neither a vector nor a matrix`);
  return matrixNorm(a, order ?? 'fro', axes as [number, number], keepDims);
}

function vectorNorm(x: NDArray, p: number, axes: readonly number[], keepDims: boolean): NDArray {
  const a = x.abs();
  if (p === Number.POSITIVE_INFINITY) return a.max(axes, keepDims);
  if (p === Number.NEGATIVE_INFINITY) return a.min(axes, keepDims);
  if (p === 0) return a.ne(0).cast(x.dtype).sum(axes, keepDims);
  if (p === 1) return a.sum(axes, keepDims);
  if (p === 2) return x.square().sum(axes, keepDims).sqrt();
  return a
    .pow(p)
    .sum(axes, keepDims)
    .pow(1 / p);
}

function matrixNorm(
  x: NDArray,
  order: NormOrder,
  [rows, columns]: [number, number],
  keepDims: boolean,
): NDArray {
  if (order === 'fro' || order === 'f') return vectorNorm(x, 2, [rows, columns], keepDims);
  const restore = (y: NDArray): NDArray =>
    keepDims ? y.reshape(x.shape.map((d, i) => (i === rows || i === columns ? 1 : d))) : y;
  const sums = (axis: number): NDArray => x.abs().sum(axis, true);
  const extreme = (y: NDArray, largest: boolean): NDArray =>
    largest ? y.max([rows, columns]) : y.min([rows, columns]);
  if (order === 1 || order === -1) return restore(extreme(sums(rows), order > 0));
  if (Math.abs(order as number) === Number.POSITIVE_INFINITY)
    return restore(extreme(sums(columns), (order as number) > 0));
  const kept = x.shape.map((_, i) => i).filter((i) => i !== rows && i !== columns);
  const [, values] = thinSvd(x.transpose([...kept, rows, columns]));
  if (order === 'nuc') return restore(values.sum(-1));
  if (order === 2) return restore(values.max(-1));
  if (order === -2) return restore(values.min(-1));
  throw new IngotError('invalid_argument', `norm: there is no matrix norm of order ${order}`);
}
