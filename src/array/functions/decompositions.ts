// Decompositions of matrices (the last two axes; axes before them are a batch), step by step from array operations: they run on
// every device, map over batches and differentiate. Meant for matrices of up to a few hundred rows.

import { IngotError } from '../../base/errors.ts';
import { formatShape } from '../../base/shape.ts';
import { type Given, named } from '../arguments.ts';
import type { NDArray } from '../array.ts';
import { arange, fromData, full } from '../creation.ts';
import { where } from '../ops/elementwise/where.ts';
import { takeAlongAxis } from '../ops/indexing/take-along-axis.ts';
import { fixed } from '../ops/operands.ts';
import { concat } from '../ops/shape/concat.ts';
import { eye, tril, triu } from './shape.ts';
import { toFloats } from './terms.ts';

function matrixOf(
  x: NDArray,
  what: string,
  square: boolean,
): readonly [a: NDArray, rows: number, columns: number] {
  const a = toFloats(x);
  const [m, n] = [a.shape.at(-2), a.shape.at(-1)];
  if (m === undefined || n === undefined || (square && m !== n)) {
    throw new IngotError(
      'shape_mismatch',
      `${what}: ${square ? 'a square matrix' : 'a matrix'} is needed, got ${formatShape(x.shape)}`,
    );
  }
  return [a, fixed(m, what), fixed(n, what)];
}

const transposed = (x: NDArray): NDArray => {
  const rank = x.shape.length;
  return x.transpose([...x.shape.map((_, i) => i).slice(0, -2), rank - 1, rank - 2]);
};
const part = (
  x: NDArray,
  rows: readonly [number, number] | null,
  columns: readonly [number, number] | null,
): NDArray => x.slice(...x.shape.slice(0, -2).map(() => null), rows, columns);
const column = (x: NDArray, j: number): NDArray => part(x, null, [j, j + 1]);
const row = (x: NDArray, i: number): NDArray => part(x, [i, i + 1], null);

/** The lower triangle L (or upper U) with L Lᵀ = x (Uᵀ U), for a symmetric positive definite x; NaN for others. */
export function cholesky(x: NDArray, upper = false): NDArray {
  let [a, n] = matrixOf(x, 'cholesky', true);
  const columns: NDArray[] = [];
  const index = arange(n).reshape([n, 1]);
  for (let j = 0; j < n; j++) {
    const pivot = part(a, [j, j + 1], [j, j + 1]).sqrt();
    const c = where(index.ge(j), column(a, j).div(pivot), 0);
    columns.push(c);
    a = a.sub(c.matmul(transposed(c)));
  }
  const lower = n === 0 ? a : concat(columns, -1);
  return upper ? transposed(lower) : lower;
}

interface Elimination {
  /** The matrix and what stands beside it after elimination below the diagonal. */
  readonly reduced: NDArray;
  /** Multipliers, below the diagonal. */
  readonly lower: NDArray;
  /** Row of x that each row came from. */
  readonly order: NDArray;
  /** Row that each row was exchanged with, [..., steps]. */
  readonly pivots: NDArray;
  /** 1 or -1 by the number of exchanges. */
  readonly sign: NDArray;
}

/** Gaussian elimination with the largest pivot of each column. */
function eliminate(a: NDArray, rows: number, columns: number): Elimination {
  const index = arange(rows).reshape([rows, 1]);
  const batch = a.shape.slice(0, -2);
  let reduced = a;
  let lower = full([...batch, rows, rows], 0);
  let order = arange(rows).broadcastTo([...batch, rows]);
  let sign = full(batch, 1);
  const exchanged: NDArray[] = [];
  for (let j = 0; j < Math.min(rows, columns); j++) {
    const candidates = where(index.ge(j), column(reduced, j).abs(), -1);
    const pivot = candidates.argmax(-2, true); // [..., 1, 1]
    exchanged.push(pivot.reshape([...batch, 1]));
    const moved = where(index.eq(j), pivot, where(index.eq(pivot), j, index));
    const swap = (y: NDArray): NDArray => takeAlongAxis(y, moved.broadcastTo(y.shape), -2);
    reduced = swap(reduced);
    lower = swap(lower);
    order = swap(order.reshape([...order.shape, 1])).reshape(order.shape);
    sign = sign.mul(where(pivot.reshape(batch).eq(j), 1, -1));
    const diagonal = part(reduced, [j, j + 1], [j, j + 1]);
    const factor = where(index.gt(j), column(reduced, j).div(where(diagonal.eq(0), 1, diagonal)), 0);
    lower = lower.add(factor.mul(arange(rows).eq(j).cast('f32')));
    reduced = reduced.sub(factor.mul(row(reduced, j)));
  }
  const pivots = exchanged.length === 0 ? full([...batch, 0], 0, 'i32') : concat(exchanged, -1);
  return { reduced, lower, order, pivots, sign };
}

/** Row order p (u32), unit lower L and upper U with x = L[p] U. */
export function lu(x: NDArray): readonly [order: NDArray, lower: NDArray, upper: NDArray] {
  const [a, m, n] = matrixOf(x, 'lu', false);
  const { reduced, lower, order } = eliminate(a, m, n);
  const k = Math.min(m, n);
  const places = order.argsort(-1).cast('u32');
  return [places, part(lower.add(eye(m)), null, [0, k]), triu(part(reduced, [0, k], null))];
}

/** L and U in one matrix, the ones of L left out, and the exchanges of rows. */
export function luCompact(x: NDArray): { readonly compact: NDArray; readonly pivots: NDArray } {
  const [a, m, n] = matrixOf(x, 'luFactor', false);
  const { reduced, lower, pivots } = eliminate(a, m, n);
  const k = Math.min(m, n);
  const below = m === k ? lower : part(lower, null, [0, k]);
  const wide =
    n > k ? concat([below, full([...a.shape.slice(0, -1), n - k], 0)], -1) : part(below, null, [0, n]);
  return { compact: triu(reduced).add(tril(wide, -1)), pivots };
}

/** Solution of a x = b; b is a vector or a matrix. A singular a gives infinities or NaN. */
export function solve(a: NDArray, b: NDArray): NDArray {
  const [matrix, n] = matrixOf(a, 'solve', true);
  const vector = b.shape.length === matrix.shape.length - 1 || b.shape.length === 1;
  const right = toFloats(vector ? b.reshape([...b.shape, 1]) : b);
  if (right.shape.at(-2) !== n) {
    throw new IngotError(
      'shape_mismatch',
      `solve: ${formatShape(a.shape)} and ${formatShape(b.shape)} have different numbers of rows`,
    );
  }
  const batch = matrix.shape.slice(0, -2);
  const k = fixed(right.shape.at(-1), 'solve');
  const both = concat([matrix, right.broadcastTo([...batch, n, k])], -1);
  const { reduced } = eliminate(both, n, n);
  const x = solveUpper(part(reduced, null, [0, n]), part(reduced, null, [n, n + k]), n);
  return vector ? x.reshape([...batch, n]) : x;
}

function solveUpper(u: NDArray, b: NDArray, n: number): NDArray {
  const rows: NDArray[] = [];
  for (let i = n - 1; i >= 0; i--) {
    const known =
      rows.length === 0 ? null : part(u, [i, i + 1], [i + 1, n]).matmul(concat([...rows].reverse(), -2));
    const rest = known === null ? row(b, i) : row(b, i).sub(known);
    rows.push(rest.div(part(u, [i, i + 1], [i, i + 1])));
  }
  return rows.length === 0 ? b : concat(rows.reverse(), -2);
}

/** Solution of a x = b for a triangular a, of which only that triangle is read. */
export function solveTriangular(a: NDArray, b: NDArray, upper = false): NDArray {
  const [matrix, n] = matrixOf(a, 'solveTriangular', true);
  const vector = b.shape.length === 1;
  const right = toFloats(vector ? b.reshape([-1, 1]) : b);
  const flip = (x: NDArray, rows: boolean, columns: boolean): NDArray =>
    x.slice(
      ...x.shape.slice(0, -2).map(() => null),
      rows ? [n - 1, -n - 1, -1] : null,
      columns ? [n - 1, -n - 1, -1] : null,
    );
  const x = upper
    ? solveUpper(triu(matrix), right, n)
    : flip(solveUpper(flip(tril(matrix), true, true), flip(right, true, false), n), true, false);
  return vector ? x.reshape([n]) : x;
}

/** Inverse of a square matrix. */
export function inv(x: NDArray): NDArray {
  const [a, n] = matrixOf(x, 'inv', true);
  return solve(a, eye(n).broadcastTo(a.shape));
}

const pivots = (reduced: NDArray, n: number): NDArray => reduced.mul(eye(n)).sum(-1);

/** Determinant. */
export function det(x: NDArray): NDArray {
  const [a, n] = matrixOf(x, 'det', true);
  const { reduced, sign } = eliminate(a, n, n);
  return pivots(reduced, n).prod(-1).mul(sign);
}

/** Sign of the determinant, and the logarithm of its magnitude. */
export function slogdet(x: NDArray): readonly [sign: NDArray, log: NDArray] {
  const [a, n] = matrixOf(x, 'slogdet', true);
  const { reduced, sign } = eliminate(a, n, n);
  const diagonal = pivots(reduced, n);
  return [diagonal.sign().prod(-1).mul(sign), diagonal.abs().log().sum(-1)];
}

/** Orthonormal Q [m, k] and upper R [k, n] with Q R = x, k the smaller of m and n; by Householder's reflections. */
export function qr(x: NDArray): readonly [q: NDArray, r: NDArray] {
  const [a, m, n] = matrixOf(x, 'qr', false);
  const k = Math.min(m, n);
  const [q, r] = householder(a, m, k);
  return [part(q, null, [0, k]), triu(part(r, [0, k], null))];
}

/** Q [m, m] and R with Q R = a, after k reflections. */
function householder(a: NDArray, m: number, k: number): readonly [q: NDArray, r: NDArray] {
  const index = arange(m).reshape([m, 1]);
  let r = a;
  let q = eye(m).broadcastTo([...a.shape.slice(0, -2), m, m]);
  for (let j = 0; j < k; j++) {
    const c = where(index.ge(j), column(r, j), 0);
    const length = c.square().sum(-2, true).sqrt();
    const alpha = where(part(c, [j, j + 1], null).lt(0), length, length.neg());
    const v = c.sub(where(index.eq(j), alpha, 0));
    const square = v.square().sum(-2, true);
    const scale = where(square.eq(0), 0, square.maximum(1e-37).reciprocal().mul(2));
    r = r.sub(v.mul(scale).matmul(transposed(v).matmul(r)));
    q = q.sub(q.matmul(v).matmul(transposed(v)).mul(scale));
  }
  return [q, r];
}

/** Rounds of pairs in which each index meets each other once (a round-robin tournament). */
function rounds(n: number): readonly (readonly (readonly [number, number])[])[] {
  const even = n + (n % 2);
  return Array.from({ length: even - 1 }, (_, round) => {
    const seat = (i: number): number => (i === 0 ? 0 : ((i - 1 + round) % (even - 1)) + 1);
    const pairs = Array.from({ length: even / 2 }, (__, i) => [seat(i), seat(even - 1 - i)] as const);
    return pairs
      .filter(([p, q]) => p < n && q < n)
      .map(([p, q]) => (p < q ? ([p, q] as const) : ([q, p] as const)));
  });
}

/** The rotation of all pairs of a round that makes the Gram matrix `g` zero at them. */
function rotation(g: NDArray, pairs: readonly (readonly [number, number])[], n: number): NDArray {
  const partner = new Float32Array(n * n);
  const sign = new Float32Array(n);
  for (const [p, q] of pairs) {
    partner[p * n + q] = 1;
    partner[q * n + p] = 1;
    sign[p] = 1;
    sign[q] = -1;
  }
  const pairing = fromData(partner, [n, n]);
  const signs = fromData(sign);
  const own = g.mul(eye(n)).sum(-1);
  const other = own
    .reshape([...own.shape, 1])
    .mul(pairing)
    .sum(-2);
  const off = g.mul(pairing).sum(-1); // the same for both of a pair
  const tau = other
    .sub(own)
    .mul(signs)
    .div(where(off.eq(0), 1, off).mul(2));
  const t = where(off.eq(0), 0, where(tau.lt(0), -1, 1).div(tau.abs().add(tau.square().add(1).sqrt())));
  const c = t.square().add(1).rsqrt();
  const s = t.mul(c).mul(signs);
  // Row p holds s at q, row q holds -s at p.
  return eye(n)
    .mul(c.reshape([...c.shape, 1]))
    .add(pairing.mul(s.reshape([...s.shape, 1])));
}

/** Sweeps after which f32 no longer changes. */
const sweeps = (n: number): number => 6 + Math.ceil(Math.log2(Math.max(n, 2)) / 2);

/**
 * Eigenvalues of a symmetric matrix, ascending, and eigenvectors as columns; by Jacobi's rotations, all pairs of a round at once. Only
 * the triangle that `uplo` names is read.
 */
export function eigh(x: NDArray, uplo: 'L' | 'U' = 'L'): readonly [values: NDArray, vectors: NDArray] {
  const [given, n] = matrixOf(x, 'eigh', true);
  if (uplo !== 'L' && uplo !== 'U') {
    throw new IngotError('invalid_argument', `eigh: triangle '${uplo}' is neither L nor U`);
  }
  const start = uplo === 'L' ? given : transposed(given);
  let a = tril(start).add(transposed(tril(start, -1)));
  let v = eye(n).broadcastTo(a.shape);
  for (let sweep = 0; sweep < sweeps(n) && n > 1; sweep++) {
    for (const pairs of rounds(n)) {
      const j = rotation(a, pairs, n);
      a = transposed(j).matmul(a).matmul(j);
      v = v.matmul(j);
    }
  }
  const values = pivots(a, n);
  const order = values.argsort(-1);
  const columns = order.reshape([...order.shape.slice(0, -1), 1, n]).broadcastTo(v.shape);
  return [takeAlongAxis(values, order, -1), takeAlongAxis(v, columns, -1)];
}

/** Eigenvalues of a symmetric matrix, ascending. */
export const eigvalsh = (x: NDArray, uplo: 'L' | 'U' = 'L'): NDArray => eigh(x, uplo)[0];

export interface SvdOptions {
  /** False gives the singular values alone. */
  readonly computeUv?: boolean;
  /** False leaves out the columns of U and rows of Vᵀ that no singular value belongs to: U [m, k] and Vᵀ [k, n]. Default true. */
  readonly fullMatrices?: boolean;
}

/** Orthogonal U [m, m], singular values [k] (descending, k the smaller of m and n) and orthogonal Vᵀ [n, n]. */
export function svd(x: NDArray, computeUv: false, fullMatrices?: boolean): NDArray;
export function svd(
  x: NDArray,
  ...given: Given<[computeUv: true, fullMatrices: boolean], SvdOptions>
): readonly [u: NDArray, s: NDArray, vt: NDArray];
export function svd(x: NDArray, ...given: readonly unknown[]): NDArray | readonly NDArray[] {
  const names = ['computeUv', 'fullMatrices'] as const;
  const { computeUv = true, fullMatrices = true } = named<SvdOptions>('svd', names, given);
  const [, m, n] = matrixOf(x, 'svd', false);
  const [u, s, vt] = thinSvd(x);
  if (!computeUv) return s;
  const rank = s.gt(s.max(-1, true).mul(1e-7));
  const [left, right] = [completed(u, rank, m), transposed(completed(transposed(vt), rank, n))];
  if (fullMatrices) return [left, s, right];
  const k = Math.min(m, n);
  return [part(left, null, [0, k]), s, part(right, [0, k], null)];
}

/** Orthonormal columns [m, k], where `rank` is true, with others that make them an orthogonal matrix [m, m]. */
function completed(u: NDArray, rank: NDArray, m: number): NDArray {
  const k = fixed(u.shape.at(-1), 'svd');
  const known = rank.reshape([...rank.shape.slice(0, -1), 1, k]);
  const [q] = householder(where(known, u, 0), m, k);
  const own = where(known, u, part(q, null, [0, k]));
  return m === k ? own : concat([own, part(q, null, [k, m])], -1);
}

/**
 * U [m, k], singular values and Vᵀ [k, n] by rotations of columns (one-sided Jacobi), which finds small values as precisely as large
 * ones. Columns of the longer side for values of 0 are 0.
 */
export function thinSvd(x: NDArray): readonly [u: NDArray, s: NDArray, vt: NDArray] {
  const [start, m, n] = matrixOf(x, 'svd', false);
  if (m < n) {
    const [u, s, vt] = thinSvd(transposed(start));
    return [transposed(vt), s, transposed(u)];
  }
  let a = start;
  let v = eye(n).broadcastTo([...a.shape.slice(0, -2), n, n]);
  for (let sweep = 0; sweep < sweeps(n) && n > 1; sweep++) {
    for (const pairs of rounds(n)) {
      const j = rotation(transposed(a).matmul(a), pairs, n);
      a = a.matmul(j);
      v = v.matmul(j);
    }
  }
  const lengths = a.square().sum(-2).sqrt();
  const order = lengths.argsort(-1, true);
  const pick = (y: NDArray): NDArray =>
    takeAlongAxis(y, order.reshape([...order.shape.slice(0, -1), 1, n]).broadcastTo(y.shape), -1);
  const s = takeAlongAxis(lengths, order, -1);
  const divisor = where(s.eq(0), 1, s).reshape([...s.shape.slice(0, -1), 1, n]);
  return [pick(a).div(divisor), s, transposed(pick(v))];
}

/** Pseudo-inverse: singular values below `rcond` of the largest count as 0. */
export function pinv(x: NDArray, rcond = 1e-6): NDArray {
  const [u, s, vt] = thinSvd(x);
  const kept = s.gt(s.max(-1, true).mul(rcond));
  const inverse = where(kept, where(kept, s, 1).reciprocal(), 0);
  return transposed(vt)
    .mul(inverse.reshape([...inverse.shape.slice(0, -1), 1, -1]))
    .matmul(transposed(u));
}

/** Number of singular values above `rcond` of the largest. */
export function matrixRank(x: NDArray, rcond = 1e-6): NDArray {
  const s = thinSvd(x)[1];
  return s.gt(s.max(-1, true).mul(rcond)).sum(-1);
}

/** A square matrix times itself; the inverse for negative exponents. */
export function matrixPower(x: NDArray, n: number): NDArray {
  const [a, size] = matrixOf(x, 'matrixPower', true);
  if (!Number.isInteger(n)) throw new IngotError('invalid_argument', `matrixPower: ${n} is not an integer`);
  let base = n < 0 ? inv(a) : a;
  let result = eye(size).broadcastTo(a.shape);
  for (let left = Math.abs(n); left > 0; left = Math.floor(left / 2)) {
    if (left % 2 === 1) result = result.matmul(base);
    if (left > 1) base = base.matmul(base);
  }
  return result;
}

/** Inverse of x from its Cholesky factor. */
export function choleskyInv(factor: NDArray, upper = false): NDArray {
  const lower = upper ? transposed(factor) : factor;
  const inverse = solveTriangular(lower, eye(fixed(lower.shape.at(-1), 'choleskyInv')));
  return transposed(inverse).matmul(inverse);
}
