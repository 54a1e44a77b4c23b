// Products and sums that other libraries have a name for, most of them PyTorch's: each is a few operations, which fuse.

import { IngotError } from '../../base/errors.ts';
import { formatShape } from '../../base/shape.ts';
import type { NDArray } from '../array.ts';
import type { Term } from '../ops/elementwise/elementwise.ts';
import { where } from '../ops/elementwise/where.ts';
import type { Axes } from '../ops/reduce/reduce.ts';
import { cumsum } from '../ops/scan/cumsum.ts';
import { expandDims } from './arrange.ts';
import { outer, product } from './linear-algebra.ts';
import { alongAxis, axisOf, toArray, toFloats } from './terms.ts';

const checkRank = (x: NDArray, rank: number, what: string): NDArray => {
  if (x.shape.length === rank) return x;
  throw new IngotError('shape_mismatch', `${what}: ${rank} axes are needed, got ${formatShape(x.shape)}`);
};
/** Product of two matrices. */
export const mm = (a: NDArray, b: NDArray): NDArray => product(checkRank(a, 2, 'mm'), checkRank(b, 2, 'mm'));
/** Products of batches of matrices. */
export const bmm = (a: NDArray, b: NDArray): NDArray =>
  product(checkRank(a, 3, 'bmm'), checkRank(b, 3, 'bmm'));
/** Product of a matrix and a vector. */
export const mv = (a: NDArray, x: NDArray): NDArray => product(checkRank(a, 2, 'mv'), checkRank(x, 1, 'mv'));
const scaled = (x: NDArray, by: number): NDArray => (by === 1 ? x : x.mul(by));
/** beta c + alpha a b of a matrix and a vector. */
export const addmv = (c: NDArray, a: NDArray, x: NDArray, alpha = 1, beta = 1): NDArray =>
  scaled(c, beta).add(scaled(mv(a, x), alpha));
/** beta c + alpha a bᵀ of two vectors. */
export const addr = (c: NDArray, a: NDArray, b: NDArray, alpha = 1, beta = 1): NDArray =>
  scaled(c, beta).add(scaled(outer(a, b), alpha));
/** beta c + alpha a b of batches of matrices. */
export const baddbmm = (c: NDArray, a: NDArray, b: NDArray, alpha = 1, beta = 1): NDArray =>
  scaled(c, beta).add(scaled(bmm(a, b), alpha));
/** beta c + alpha times the sum of the products of batches of matrices. */
export const addbmm = (c: NDArray, a: NDArray, b: NDArray, alpha = 1, beta = 1): NDArray =>
  scaled(c, beta).add(scaled(bmm(a, b).sum(0), alpha));
/** x + value a b. */
export const addcmul = (x: NDArray, a: Term, b: Term, value = 1): NDArray =>
  x.add(scaled(toArray(a).mul(b), value));
/** x + value a / b. */
export const addcdiv = (x: NDArray, a: Term, b: Term, value = 1): NDArray =>
  x.add(scaled(toArray(a).div(b), value));
/** a + weight (b - a). */
export const lerp = (a: NDArray, b: Term, weight: Term): NDArray => a.add(toArray(b).sub(a).mul(weight));
/** other - alpha x. */
export const rsub = (x: NDArray, other: Term, alpha = 1): NDArray => toArray(other).sub(scaled(x, alpha));
/** The part after the point, with the sign of x. */
export const frac = (x: Term): NDArray => toFloats(x).sub(toFloats(x).trunc());
/** The parts after and before the point. */
export const modf = (x: Term): readonly [fraction: NDArray, whole: NDArray] => {
  const a = toFloats(x);
  const whole = a.trunc();
  const infinite = a.abs().eq(Number.POSITIVE_INFINITY);
  return [where(infinite, 0, a.sub(whole)), whole];
};
/** `x` where it is above the threshold, `value` elsewhere. */
export const threshold = (x: NDArray, limit: number, value: number): NDArray => where(x.gt(limit), x, value);
/** Powers in floats, also of integers. */
export const floatPower = (a: Term, b: Term): NDArray => toFloats(a).pow(toFloats(b));
export const fabs = (x: Term): NDArray => toFloats(x).abs();
/** Angle of real numbers: 0, or π below 0. */
export const angle = (x: Term): NDArray => {
  const a = toFloats(x);
  return where(a.isnan(), a, where(a.lt(0), Math.PI, 0));
};

/** Smallest and largest element. */
export const minmax = (x: NDArray, axes?: Axes, keepDims = false): readonly [min: NDArray, max: NDArray] => [
  x.min(axes, keepDims),
  x.max(axes, keepDims),
];
/** Variance and mean; the variance is divided by n - correction, by default n - 1. */
export const varMean = (
  x: NDArray,
  axes?: Axes,
  keepDims = false,
  correction = 1,
): readonly [variance: NDArray, mean: NDArray] => [
  x.variance(axes, keepDims, correction),
  x.mean(axes, keepDims),
];
export const stdMean = (
  x: NDArray,
  axes?: Axes,
  keepDims = false,
  correction = 1,
): readonly [deviation: NDArray, mean: NDArray] => [
  x.std(axes, keepDims, correction),
  x.mean(axes, keepDims),
];

/** Distances of order p between the rows of a [..., M, K] and b [..., N, K]: [..., M, N]. */
export function cdist(a: NDArray, b: NDArray, p = 2): NDArray {
  const apart = expandDims(a, -2).sub(expandDims(b, -3)).abs();
  if (p === Number.POSITIVE_INFINITY) return apart.max(-1);
  if (p === 0) return apart.ne(0).sum(-1).cast(apart.dtype);
  if (p === 1) return apart.sum(-1);
  if (p === 2) return apart.square().sum(-1).sqrt();
  return apart
    .pow(p)
    .sum(-1)
    .pow(1 / p);
}
/** Distances of order p between rows of equal places; `eps` is added to differences, as in PyTorch. */
export const pairwiseDistance = (a: NDArray, b: NDArray, p = 2, eps = 1e-6): NDArray =>
  a
    .sub(b)
    .add(eps)
    .abs()
    .pow(p)
    .sum(-1)
    .pow(1 / p);
/** Distance of order p of all elements. */
export const dist = (a: NDArray, b: Term, p = 2): NDArray =>
  a
    .sub(b)
    .abs()
    .pow(p)
    .sum()
    .pow(1 / p);
/** Cosine of the angle between vectors along an axis; lengths are at least `eps`. */
export function cosineSimilarity(a: NDArray, b: NDArray, axis = 1, eps = 1e-8): NDArray {
  const length = (x: NDArray): NDArray => x.square().sum(axis).sqrt().maximum(eps);
  return a
    .mul(b)
    .sum(axis)
    .div(length(a).mul(length(b)));
}
/** Vectors along an axis divided by their norm of order p, which is at least `eps`. */
export const normalize = (x: NDArray, p = 2, axis = 1, eps = 1e-12): NDArray =>
  x.div(
    x
      .abs()
      .pow(p)
      .sum(axis, true)
      .pow(1 / p)
      .maximum(eps),
  );
/** Running integral by the trapezoid rule along an axis. */
export function cumulativeTrapezoid(y: NDArray, dx = 1, axis = -1): NDArray {
  const [at, n] = axisOf(y, axis, 'cumulativeTrapezoid');
  const halves = alongAxis(y, at, [0, n - 1])
    .add(alongAxis(y, at, [1, n]))
    .mul(dx / 2);
  return cumsum(halves, at);
}
/** Channels as pixels: [..., H, W, C r²] become [..., H r, W r, C]; channels are last. */
export function pixelShuffle(x: NDArray, factor: number): NDArray {
  const [h, w, c] = x.shape.slice(-3) as [number, number, number];
  const batch = x.shape.slice(0, -3);
  const n = batch.length;
  const own = x.reshape([...batch, h, w, c / factor ** 2, factor, factor]);
  const order = [...batch.map((_, i) => i), n, n + 3, n + 1, n + 4, n + 2];
  return own.transpose(order).reshape([...batch, h * factor, w * factor, c / factor ** 2]);
}
/** The inverse of pixelShuffle. */
export function pixelUnshuffle(x: NDArray, factor: number): NDArray {
  const [h, w, c] = x.shape.slice(-3) as [number, number, number];
  const batch = x.shape.slice(0, -3);
  const n = batch.length;
  const own = x.reshape([...batch, h / factor, factor, w / factor, factor, c]);
  const order = [...batch.map((_, i) => i), n, n + 2, n + 4, n + 1, n + 3];
  return own.transpose(order).reshape([...batch, h / factor, w / factor, c * factor ** 2]);
}
