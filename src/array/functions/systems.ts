// More of linear algebra on top of the decompositions: systems of equations, norms by name, tensors as matrices, exponentials.

import { IngotError } from '../../base/errors.ts';
import { formatShape } from '../../base/shape.ts';
import type { NDArray } from '../array.ts';
import { where } from '../ops/elementwise/where.ts';
import { fixed } from '../ops/operands.ts';
import { det, inv, luCompact, pinv, solve, solveTriangular, thinSvd } from './decompositions.ts';
import { type NormOrder, norm, product } from './linear-algebra.ts';
import { matrixTranspose } from './numpy.ts';
import { eye, tril, triu } from './shape.ts';
import { toFloats } from './terms.ts';

/** Norm of vectors along axes (default: of all elements), which count as one vector. */
export function vectorNorm(
  x: NDArray,
  order = 2,
  axis?: number | readonly number[] | null,
  keepDims = false,
): NDArray {
  const rank = x.shape.length;
  const axes = (axis == null ? x.shape.map((_, i) => i) : [axis].flat()).map((a) => (a < 0 ? a + rank : a));
  const kept = x.shape.map((_, i) => i).filter((i) => !axes.includes(i));
  const lines = x
    .transpose([...kept, ...axes])
    .reshape([...kept.map((i) => fixed(x.shape[i], 'vectorNorm')), -1]);
  const result = norm(lines, order, -1);
  return keepDims ? result.reshape(x.shape.map((d, i) => (axes.includes(i) ? 1 : d))) : result;
}
/** Norm of matrices, by default of the last two axes. */
export const matrixNorm = (
  x: NDArray,
  order: NormOrder = 'fro',
  axes: readonly [number, number] = [-2, -1],
  keepDims = false,
): NDArray => norm(x, order, axes, keepDims);

/** Singular values, descending. */
export const svdvals = (x: NDArray): NDArray => thinSvd(x)[1];
/** Condition number: the norm of x times that of its inverse; by default of order 2, from the singular values. */
export function cond(x: NDArray, order: NormOrder = 2): NDArray {
  if (order !== 2 && order !== -2) return matrixNorm(x, order).mul(matrixNorm(inv(x), order));
  const s = svdvals(x);
  return order === 2 ? s.max(-1).div(s.min(-1)) : s.min(-1).div(s.max(-1));
}
/** log of the determinant; NaN where that is negative. */
export const logdet = (x: NDArray): NDArray => det(x).log();

/** Inverse of a triangular matrix, of which only that triangle is read. */
export const triInv = (x: NDArray, upper = false): NDArray => {
  const n = fixed(x.shape.at(-1), 'triInv');
  return solveTriangular(x, eye(n).broadcastTo(x.shape), upper);
};
/** L and U in one matrix (the ones of L left out), and the row that each row was exchanged with: u32. */
export function luFactor(x: NDArray): readonly [lu: NDArray, pivots: NDArray] {
  const { compact, pivots } = luCompact(x);
  return [compact, pivots.cast('u32')];
}
/** Solution of a x = b from luFactor(a). */
export function luSolve(lu: NDArray, pivots: NDArray, b: NDArray): NDArray {
  const n = fixed(lu.shape.at(-1), 'luSolve');
  const vector = b.shape.length < lu.shape.length;
  let rows = toFloats(vector ? b.reshape([...b.shape, 1]) : b);
  const at = eye(n, n, 0, 'bool');
  for (let i = 0; i < n; i++) {
    // a permutation matrix that exchanges rows i and pivots[i]
    const p = pivots
      .slice('...', [i, i + 1])
      .reshape([...pivots.shape.slice(0, -1), 1, 1])
      .cast('i32');
    const index = at.argmax(-1).reshape([n, 1]);
    const source = where(index.eq(i), p, where(index.eq(p), i, index));
    const exchange = source.eq(index.reshape([1, n])).cast('f32');
    rows = exchange.matmul(rows);
  }
  const y = solveTriangular(tril(lu, -1).add(eye(n)), rows);
  const x = solveTriangular(triu(lu), y, true);
  return vector ? x.reshape(x.shape.slice(0, -1)) : x;
}
/** Solution of a x = b from the Cholesky factor of a. */
export function choleskySolve(b: NDArray, factor: NDArray, upper = false): NDArray {
  const lower = upper ? matrixTranspose(factor) : factor;
  return solveTriangular(matrixTranspose(lower), solveTriangular(lower, b), true);
}
/**
 * The x of least |a x - b|, and of least |x| among those; squares of the residuals of each column, the rank and the singular values
 * of a. Values below `rcond` of the largest count as 0.
 */
export function lstsq(
  a: NDArray,
  b: NDArray,
  rcond = 1e-6,
): readonly [x: NDArray, residuals: NDArray, rank: NDArray, values: NDArray] {
  const x = pinv(a, rcond).matmul(toFloats(b));
  const values = svdvals(a);
  const residuals = a
    .matmul(x)
    .sub(b)
    .square()
    .sum(b.shape.length === 1 ? 0 : -2);
  return [x, residuals, values.gt(values.max(-1, true).mul(rcond)).sum(-1), values];
}
/** Product of several matrices in the order of least work; the first and last may be vectors. */
export function multiDot(matrices: readonly NDArray[]): NDArray {
  const [only] = matrices;
  if (only === undefined) throw new IngotError('invalid_argument', 'multiDot: there are no matrices');
  const n = matrices.length;
  const sizes = matrices.map((m, i) =>
    m.shape.length === 2 ? m.shape.map((d) => fixed(d, 'multiDot')) : i === 0 ? [1, m.size] : [m.size, 1],
  ) as [number, number][];
  const dims = [sizes[0]?.[0] ?? 1, ...sizes.map((s) => s[1])];
  const best = new Map<string, { readonly cost: number; readonly at: number }>();
  for (let length = 1; length < n; length++) {
    for (let i = 0; i + length < n; i++) {
      const j = i + length;
      const options = Array.from({ length }, (_, k) => {
        const cost = (from: number, to: number): number => best.get(`${from} ${to}`)?.cost ?? 0;
        const own = (dims[i] as number) * (dims[i + k + 1] as number) * (dims[j + 1] as number);
        return { cost: cost(i, i + k) + cost(i + k + 1, j) + own, at: i + k };
      });
      best.set(
        `${i} ${j}`,
        options.reduce((a, b) => (b.cost < a.cost ? b : a)),
      );
    }
  }
  const join = (i: number, j: number): NDArray => {
    if (i === j) return matrices[i] as NDArray;
    const at = best.get(`${i} ${j}`)?.at ?? i;
    return product(join(i, at), join(at + 1, j));
  };
  return join(0, n - 1);
}
/** The inverse of tensordot with x, whose first `axes` axes stand for rows. */
export function tensorinv(x: NDArray, axes = 2): NDArray {
  const shape = x.shape.map((d) => fixed(d, 'tensorinv'));
  const rows = shape.slice(0, axes).reduce((p, d) => p * d, 1);
  if (rows !== shape.slice(axes).reduce((p, d) => p * d, 1)) {
    throw new IngotError(
      'shape_mismatch',
      `tensorinv: ${formatShape(x.shape)} is not square at axis ${axes}`,
    );
  }
  return inv(x.reshape([rows, rows])).reshape([...shape.slice(axes), ...shape.slice(0, axes)]);
}
/** The x with tensordot(a, x) = b over all axes of x. */
export function tensorsolve(a: NDArray, b: NDArray): NDArray {
  const rest = a.shape.slice(b.shape.length);
  return solve(a.reshape([b.size, b.size]), b.reshape([-1])).reshape(rest);
}
/** Exponential of a square matrix: Taylor's series of x / 256, squared eight times. */
export function matrixExp(x: NDArray): NDArray {
  const a = toFloats(x).div(256);
  const n = fixed(a.shape.at(-1), 'matrixExp');
  let [sum, term] = [eye(n).add(a), a];
  for (let k = 2; k <= 8; k++) {
    term = term.matmul(a).div(k);
    sum = sum.add(term);
  }
  for (let i = 0; i < 8; i++) sum = sum.matmul(sum);
  return sum;
}
