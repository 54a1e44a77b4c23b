// Eigenvalues of matrices that are not symmetric: computed on the host in f64, so these are async and have no gradient. Hessenberg
// form by reflections, then the shifted QR iteration on complex numbers (Golub and Van Loan, Matrix Computations, 7.4 and 7.5).

import { IngotError } from '../../base/errors.ts';
import { formatShape } from '../../base/shape.ts';
import type { NDArray } from '../array.ts';
import { fromData } from '../creation.ts';
import { fixed } from '../ops/operands.ts';
import type { Complex } from './fft.ts';
import { toFloats } from './terms.ts';

/** A square complex matrix, row by row. */
interface Matrix {
  readonly n: number;
  readonly re: Float64Array;
  readonly im: Float64Array;
}

/** Rotates rows or columns p and q of `m`: x' = c x + s y, y' = -conj(s) x + c y, from element `from` to `to`. */
function rotate(
  m: Matrix,
  [p, q]: readonly [number, number],
  [c, sr, si]: readonly [number, number, number],
  rows: boolean,
  [from, to]: readonly [number, number],
): void {
  const { n, re, im } = m;
  for (let k = from; k < to; k++) {
    const [i, j] = rows ? [p * n + k, q * n + k] : [k * n + p, k * n + q];
    const [xr, xi, yr, yi] = [re[i], im[i], re[j], im[j]] as [number, number, number, number];
    const sign = rows ? 1 : -1; // columns are rotated by the conjugate
    re[i] = c * xr + sr * yr - sign * si * yi;
    im[i] = c * xi + sr * yi + sign * si * yr;
    re[j] = c * yr - sr * xr - sign * si * xi;
    im[j] = c * yi - sr * xi + sign * si * xr;
  }
}

/** The rotation that takes (x, y) to (r, 0). */
function rotationOf(xr: number, xi: number, yr: number, yi: number): readonly [number, number, number] {
  const [x, y] = [Math.hypot(xr, xi), Math.hypot(yr, yi)];
  if (y === 0) return [1, 0, 0];
  const length = Math.hypot(x, y);
  if (x === 0) return [0, yr / y, -yi / y];
  // s = x conj(y) / (|x| length)
  return [x / length, (xr * yr + xi * yi) / (x * length), (xi * yr - xr * yi) / (x * length)];
}

/** Eigenvalue of the last 2 x 2 block at `hi` that is closer to its last element (Wilkinson's shift). */
function shiftOf({ n, re, im }: Matrix, hi: number): readonly [number, number] {
  const at = (i: number, j: number): readonly [number, number] => [
    re[i * n + j] as number,
    im[i * n + j] as number,
  ];
  const [[ar, ai], [br, bi], [cr, ci], [dr, di]] = [
    at(hi - 1, hi - 1),
    at(hi - 1, hi),
    at(hi, hi - 1),
    at(hi, hi),
  ];
  const [hr, hi2] = [(ar - dr) / 2, (ai - di) / 2];
  const [pr, pi] = [hr * hr - hi2 * hi2 + br * cr - bi * ci, 2 * hr * hi2 + br * ci + bi * cr];
  const size = Math.hypot(pr, pi);
  let [rr, ri] = [Math.sqrt((size + pr) / 2), Math.sqrt(Math.max(0, (size - pr) / 2)) * (pi < 0 ? -1 : 1)];
  if (rr * hr + ri * hi2 > 0) [rr, ri] = [-rr, -ri];
  return [dr + hr + rr, di + hi2 + ri];
}

/** `t` becomes upper triangular by rotations, which `q` collects. */
function triangular(t: Matrix, q: Matrix): void {
  const { n, re, im } = t;
  for (let k = 0; k + 2 < n; k++) {
    for (let i = n - 1; i > k + 1; i--) {
      const [x, y] = [(i - 1) * n + k, i * n + k];
      const g = rotationOf(re[x] as number, im[x] as number, re[y] as number, im[y] as number);
      rotate(t, [i - 1, i], g, true, [0, n]);
      rotate(t, [i - 1, i], g, false, [0, n]);
      rotate(q, [i - 1, i], g, false, [0, n]);
    }
  }
  let hi = n - 1;
  for (let steps = 0; hi > 0; steps++) {
    const size = (i: number, j: number): number =>
      Math.hypot(re[i * n + j] as number, im[i * n + j] as number);
    let lo = hi;
    while (lo > 0 && size(lo, lo - 1) > 2 ** -52 * (size(lo, lo) + size(lo - 1, lo - 1))) lo--;
    if (lo > 0) {
      re[lo * n + lo - 1] = 0;
      im[lo * n + lo - 1] = 0;
    }
    if (lo === hi) {
      hi--;
      steps = 0;
      continue;
    }
    if (steps > 60)
      throw new IngotError('invalid_argument', 'eig: the iteration does not end; is an element NaN?');
    // every tenth step another shift, for matrices on which Wilkinson's turns in circles
    const [sr, si] = steps % 10 === 9 ? [size(hi, hi - 1) + (re[hi * n + hi] as number), 0] : shiftOf(t, hi);
    for (let i = lo; i <= hi; i++) {
      re[i * n + i] = (re[i * n + i] as number) - sr;
      im[i * n + i] = (im[i * n + i] as number) - si;
    }
    const turns: (readonly [number, number, number])[] = [];
    for (let k = lo; k < hi; k++) {
      const [x, y] = [k * n + k, (k + 1) * n + k];
      const g = rotationOf(re[x] as number, im[x] as number, re[y] as number, im[y] as number);
      rotate(t, [k, k + 1], g, true, [k, n]);
      turns.push(g);
    }
    turns.forEach((g, i) => {
      rotate(t, [lo + i, lo + i + 1], g, false, [0, Math.min(lo + i + 2, hi) + 1]);
      rotate(q, [lo + i, lo + i + 1], g, false, [0, n]);
    });
    for (let i = lo; i <= hi; i++) {
      re[i * n + i] = (re[i * n + i] as number) + sr;
      im[i * n + i] = (im[i * n + i] as number) + si;
    }
  }
}

/** Eigenvectors of an upper triangular matrix by substitution, times `q`, of length 1: columns. */
function vectorsOf({ n, re, im }: Matrix, q: Matrix): Matrix {
  const out: Matrix = { n, re: new Float64Array(n * n), im: new Float64Array(n * n) };
  const norm = re.reduce((m, v) => Math.max(m, Math.abs(v)), 1e-300);
  for (let k = 0; k < n; k++) {
    const [xr, xi] = [new Float64Array(n), new Float64Array(n)];
    xr[k] = 1;
    for (let i = k - 1; i >= 0; i--) {
      let [sr, si] = [0, 0];
      for (let j = i + 1; j <= k; j++) {
        const [ar, ai, br, bi] = [re[i * n + j], im[i * n + j], xr[j], xi[j]] as [
          number,
          number,
          number,
          number,
        ];
        sr -= ar * br - ai * bi;
        si -= ar * bi + ai * br;
      }
      let [dr, di] = [
        (re[i * n + i] as number) - (re[k * n + k] as number),
        (im[i * n + i] as number) - (im[k * n + k] as number),
      ];
      if (Math.hypot(dr, di) < 2 ** -52 * norm) [dr, di] = [2 ** -52 * norm, 0];
      const d = dr * dr + di * di;
      xr[i] = (sr * dr + si * di) / d;
      xi[i] = (si * dr - sr * di) / d;
    }
    let length = 0;
    for (let i = 0; i < n; i++) {
      let [sr, si] = [0, 0];
      for (let j = 0; j <= k; j++) {
        const [ar, ai, br, bi] = [q.re[i * n + j], q.im[i * n + j], xr[j], xi[j]] as [
          number,
          number,
          number,
          number,
        ];
        sr += ar * br - ai * bi;
        si += ar * bi + ai * br;
      }
      out.re[i * n + k] = sr;
      out.im[i * n + k] = si;
      length = Math.hypot(length, sr, si);
    }
    for (let i = 0; i < n; i++) {
      out.re[i * n + k] = (out.re[i * n + k] as number) / length;
      out.im[i * n + k] = (out.im[i * n + k] as number) / length;
    }
  }
  return out;
}

interface Eigen {
  readonly values: Complex;
  /** As columns, of length 1. */
  readonly vectors: Complex;
}

/** Eigenvalues, in no promised order, and eigenvectors of square matrices [..., n, n]; complex. */
export async function eig(x: NDArray): Promise<readonly [values: Complex, vectors: Complex]> {
  const { values, vectors } = await decompose(x, true);
  return [values, vectors];
}
/** Eigenvalues of square matrices, in no promised order; complex. */
export const eigvals = async (x: NDArray): Promise<Complex> => (await decompose(x, false)).values;

async function decompose(x: NDArray, withVectors: boolean): Promise<Eigen> {
  const shape = x.shape.map((d) => fixed(d, 'eig'));
  const n = shape.at(-1) ?? 0;
  if (shape.length < 2 || shape.at(-2) !== n) {
    throw new IngotError('shape_mismatch', `eig: a square matrix is needed, got ${formatShape(x.shape)}`);
  }
  const data = await toFloats(x).data();
  const batch = shape.slice(0, -2).reduce((p, d) => p * d, 1);
  const values = [new Float32Array(batch * n), new Float32Array(batch * n)] as const;
  const vectors = [new Float32Array(batch * n * n), new Float32Array(batch * n * n)] as const;
  for (let b = 0; b < batch; b++) {
    const t = {
      n,
      re: Float64Array.from(data.slice(b * n * n, (b + 1) * n * n)),
      im: new Float64Array(n * n),
    };
    const q = { n, re: new Float64Array(n * n), im: new Float64Array(n * n) };
    for (let i = 0; i < n; i++) q.re[i * n + i] = 1;
    if (t.re.some((v) => !Number.isFinite(v))) {
      throw new IngotError('invalid_argument', 'eig: an element is infinite or NaN');
    }
    triangular(t, q);
    for (let i = 0; i < n; i++) {
      values[0][b * n + i] = t.re[i * n + i] as number;
      values[1][b * n + i] = t.im[i * n + i] as number;
    }
    if (!withVectors) continue;
    const v = vectorsOf(t, q);
    vectors[0].set(v.re, b * n * n);
    vectors[1].set(v.im, b * n * n);
  }
  const complex = ([re, im]: readonly [Float32Array, Float32Array], s: readonly number[]): Complex => ({
    real: fromData(re, s),
    imag: fromData(im, s),
  });
  return { values: complex(values, shape.slice(0, -1)), vectors: complex(vectors, shape) };
}
