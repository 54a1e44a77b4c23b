// Special functions beside those of special.ts, in f32. Series of I0 and I1 are those of the Cephes library (S. Moshier, i0f.c, i1f.c).

import { IngotError } from '../../base/errors.ts';
import type { NDArray } from '../array.ts';
import { fromData } from '../creation.ts';
import type { Term } from '../ops/elementwise/elementwise.ts';
import { where } from '../ops/elementwise/where.ts';
import { view } from '../ops/shape/view.ts';
import { digamma, erfc, erfinv, lgamma } from './special.ts';
import { differentiated, toFloats } from './terms.ts';

/** A sum of Chebyshev polynomials of x in -2 … 2, highest first, by Clenshaw's recurrence. */
function chebyshev(x: NDArray, coefficients: readonly number[]): NDArray {
  let [b0, b1, b2] = [x.mul(0), x.mul(0), x.mul(0)];
  for (const c of coefficients) [b0, b1, b2] = [x.mul(b0).sub(b1).add(c), b0, b1];
  return b0.sub(b2).mul(0.5);
}

const i0Small = [
  -1.30002500998e-8, 6.04699502254e-8, -2.67079385394e-7, 1.11738753912e-6, -4.41673835845e-6,
  1.64484480707e-5, -5.75419501008e-5, 1.88502885095e-4, -5.76375574538e-4, 1.63947561694e-3,
  -4.32430999505e-3, 1.05464603945e-2, -2.37374148058e-2, 4.93052842396e-2, -9.4901097048e-2,
  1.71620901522e-1, -3.04682672343e-1, 6.76795274409e-1,
];
const i0Large = [
  3.3962320257e-9, 2.26666899049e-8, 2.04891858946e-7, 2.89137052083e-6, 6.88975834691e-5, 3.36911647825e-3,
  8.04490411014e-1,
];
const i1Small = [
  9.38153738649e-9, -4.44505912879e-8, 2.00329475355e-7, -8.56872026469e-7, 3.47025130813e-6,
  -1.3273163656e-5, 4.78156510755e-5, -1.61760815825e-4, 5.12285956168e-4, -1.51357245063e-3,
  4.15642294431e-3, -1.05640848946e-2, 2.47264490306e-2, -5.2945981208e-2, 1.02643658689e-1,
  -1.76416518357e-1, 2.52587186443e-1,
];
const i1Large = [
  -3.83538038596e-9, -2.63146884688e-8, -2.51223623787e-7, -3.88256480887e-6, -1.10588938762e-4,
  -9.76109749136e-3, 7.78576235018e-1,
];

/** exp(-|x|) I0(x). */
export function i0e(x: Term): NDArray {
  const a = toFloats(x).abs();
  const small = chebyshev(a.minimum(8).div(2).sub(2), i0Small);
  const far = a.maximum(8);
  const y = where(a.le(8), small, chebyshev(far.reciprocal().mul(32).sub(2), i0Large).mul(far.rsqrt()));
  return differentiated(y, toFloats(x), (p) => i1e(p).sub(p.sign().mul(i0e(p))));
}
/** exp(-|x|) I1(x). */
export function i1e(x: Term): NDArray {
  const p = toFloats(x);
  const a = p.abs();
  const small = chebyshev(a.minimum(8).div(2).sub(2), i1Small).mul(a);
  const far = a.maximum(8);
  const y = where(a.le(8), small, chebyshev(far.reciprocal().mul(32).sub(2), i1Large).mul(far.rsqrt()));
  return differentiated(y.mul(p.sign()), p, (q, r) => {
    const b = where(q.eq(0), 1, q);
    return where(
      q.eq(0),
      0.5,
      i0e(b)
        .sub(i1e(b).mul(b.reciprocal().add(b.sign())))
        .add(r.mul(0)),
    );
  });
}
/** Modified Bessel function of the first kind, order 0. */
export const i0 = (x: Term): NDArray =>
  differentiated(i0e(toFloats(x)).mul(toFloats(x).abs().exp()), toFloats(x), i1);
/** Modified Bessel function of the first kind, order 1. */
export function i1(x: Term): NDArray {
  const a = toFloats(x);
  return differentiated(i1e(a).mul(a.abs().exp()), a, (p) => {
    const b = where(p.eq(0), 1, p);
    return where(p.eq(0), 0.5, i0(b).sub(i1(b).div(b)));
  });
}
/** Kaiser's window of n numbers: I0(beta sqrt(1 - t²)) / I0(beta), by its series in f64. */
export function kaiser(n: number, beta: number): NDArray {
  const bessel = (x: number): number => {
    let [sum, term] = [1, 1];
    for (let k = 1; term > sum * 1e-17; k++) {
      term *= (x / 2 / k) ** 2;
      sum += term;
    }
    return sum;
  };
  const at = (i: number): number => (n === 1 ? 0 : (2 * i) / (n - 1) - 1);
  return fromData(
    Float32Array.from(
      { length: n },
      (_, i) => bessel(beta * Math.sqrt(Math.max(0, 1 - at(i) ** 2))) / bessel(beta),
    ),
  );
}

/** 1 / (1 + exp(-x)): sigmoid. */
export const expit = (x: Term): NDArray => toFloats(x).sigmoid();
/** -x log(x), 0 at 0, -infinity below. */
export function entr(x: Term): NDArray {
  const a = toFloats(x);
  const inner = where(a.gt(0), a, 1);
  const y = inner.mul(inner.log()).neg();
  return where(a.isnan(), a, where(a.gt(0), y, where(a.eq(0), 0, Number.NEGATIVE_INFINITY)));
}
/** x log1p(y), 0 where x is 0. */
export function xlog1py(x: Term, y: Term): NDArray {
  const [a, b] = [toFloats(x), toFloats(y)];
  const zero = a.eq(0).logicalAnd(b.isnan().logicalNot());
  return where(zero, 0, a.mul(where(zero, 0, b).log1p()));
}
/** Distribution function of the standard normal. */
export const ndtr = (x: Term): NDArray => erfc(toFloats(x).mul(-Math.SQRT1_2)).mul(0.5);
/** Its inverse. */
export const ndtri = (p: Term): NDArray => erfinv(toFloats(p).mul(2).sub(1)).mul(Math.SQRT2);
export const gammaln = lgamma;
export const psi = digamma;
/** Logarithm of the multivariate gamma function of dimension d. */
export function multigammaln(x: Term, d: number): NDArray {
  if (!Number.isInteger(d) || d < 1) {
    throw new IngotError('invalid_argument', `multigammaln: d is ${d}, a whole number above 0 is needed`);
  }
  const a = toFloats(x);
  const parts = Array.from({ length: d }, (_, j) => lgamma(a.sub(j / 2)));
  return parts.reduce((s, p) => s.add(p)).add((d * (d - 1) * Math.log(Math.PI)) / 4);
}
/** Hurwitz's zeta function for s above 1 and q above 0, by Euler and Maclaurin: https://dlmf.nist.gov/25.11.E5. */
export function zeta(s: Term, q: Term): NDArray {
  const [a, b] = [toFloats(s), toFloats(q)];
  const terms = 9;
  let sum = b.pow(a.neg());
  for (let k = 1; k < terms; k++) sum = sum.add(b.add(k).pow(a.neg()));
  const end = b.add(terms);
  let result = sum.add(end.pow(a.neg().add(1)).div(a.sub(1))).add(end.pow(a.neg()).mul(0.5));
  let factor = a.mul(end.pow(a.neg().sub(1)));
  for (const [i, c] of [1 / 12, -1 / 720, 1 / 30240, -1 / 1209600].entries()) {
    result = result.add(factor.mul(c));
    factor = factor
      .mul(a.add(2 * i + 1))
      .mul(a.add(2 * i + 2))
      .div(end.square());
  }
  return result;
}
/** Derivative n of digamma for x above 0. */
export function polygamma(n: number, x: Term): NDArray {
  if (n === 0) return digamma(x);
  let factorial = 1;
  for (let k = 2; k <= n; k++) factorial *= k;
  return zeta(n + 1, x).mul(n % 2 === 1 ? factorial : -factorial);
}
/** Mantissa (0.5 to below 1) and exponent (i32) of numbers, from their bits; of 0, infinities and NaN themselves and 0. */
export function frexp(x: Term): readonly [mantissa: NDArray, exponent: NDArray] {
  const a = toFloats(x).cast('f32');
  const bits = view(a, 'u32');
  const field = bits.rightShift(23).bitwiseAnd(255).cast('i32');
  const special = field.eq(0).logicalOr(field.eq(255));
  const mantissa = view(bits.bitwiseAnd(0x807fffff).bitwiseOr(126 * 2 ** 23), 'f32');
  return [where(special, a, mantissa), where(special, 0, field.sub(126))];
}
