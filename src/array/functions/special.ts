// Special functions in f32.

import type { NDArray } from '../array.ts';
import type { Term } from '../ops/elementwise/elementwise.ts';
import { where } from '../ops/elementwise/where.ts';
import { differentiated, polynomial, toFloats } from './terms.ts';

/**
 * Inverse of erf: infinite at -1 and 1, NaN outside. Polynomials of M. Giles, "Approximating the erfinv function" (2010), and one
 * step of Newton.
 */
export function erfinv(x: Term): NDArray {
  const a = toFloats(x);
  const w = a.neg().add(1).mul(a.add(1)).log().neg();
  const central = polynomial(
    w.sub(2.5),
    [
      2.81022636e-8, 3.43273939e-7, -3.5233877e-6, -4.39150654e-6, 2.1858087e-4, -1.25372503e-3,
      -4.17768164e-3, 0.246640727, 1.50140941,
    ],
  );
  const tail = polynomial(
    w.sqrt().sub(3),
    [
      -2.00214257e-4, 1.00950558e-4, 1.34934322e-3, -3.67342844e-3, 5.73950773e-3, -7.6224613e-3,
      9.43887047e-3, 1.00167406, 2.83297682,
    ],
  );
  const y = where(w.lt(5), central, tail).mul(a);
  const ends = where(a.eq(1), Number.POSITIVE_INFINITY, where(a.eq(-1), Number.NEGATIVE_INFINITY, y));
  return differentiated(ends, a, (_, r) =>
    r
      .square()
      .exp()
      .mul(Math.sqrt(Math.PI) / 2),
  );
}

/** Complementary error function, 1 - erf(x), without cancellation where that is all there is. */
export function erfc(x: Term): NDArray {
  const a = toFloats(x);
  return differentiated(a.erf().neg().add(1), a, (p) =>
    p
      .square()
      .neg()
      .exp()
      .mul(-2 / Math.sqrt(Math.PI)),
  );
}

/** How far arguments are moved up before Stirling's series. */
const shift = 8;

/** Logarithm of |Γ(x)|: infinite at 0, -1, -2, … Stirling's series, https://dlmf.nist.gov/5.11.E1. */
export function lgamma(x: Term): NDArray {
  const a = toFloats(x);
  const reflected = a.lt(0.5);
  const b = where(reflected, a.neg().add(1), a);
  const small = b.lt(shift);
  const z = where(small, b.add(shift), b);
  let product = where(small, b, 1);
  for (let i = 1; i < shift; i++) product = product.mul(where(small, b.add(i), 1));
  const inverse = z.reciprocal();
  const series = polynomial(inverse.square(), [1 / 1260, -1 / 360, 1 / 12]).mul(inverse);
  const large = z
    .sub(0.5)
    .mul(z.log())
    .sub(z)
    .add(series.add(0.5 * Math.log(2 * Math.PI)));
  const value = large.sub(product.log());
  const fraction = a.sub(a.round());
  const mirror = fraction.mul(Math.PI).sin().abs().log().neg().add(Math.log(Math.PI)).sub(value);
  const infinite = a.abs().eq(Number.POSITIVE_INFINITY);
  return differentiated(
    where(infinite, Number.POSITIVE_INFINITY, where(reflected, mirror, value)),
    a,
    digamma,
  );
}

/** Derivative of lgamma; -infinity at 0, +infinity at -0, NaN at -1, -2, … https://dlmf.nist.gov/5.11.E2. */
export function digamma(x: Term): NDArray {
  const a = toFloats(x);
  const reflected = a.lt(0.5);
  const b = where(reflected, a.neg().add(1), a);
  const small = b.lt(shift);
  const z = where(small, b.add(shift), b);
  let sum = z.mul(0);
  for (let i = 0; i < shift; i++) sum = sum.add(where(small, b.add(i), 1).reciprocal());
  const inverse = z.reciprocal();
  const series = polynomial(inverse.square(), [1 / 252, -1 / 120, 1 / 12]).mul(inverse.square());
  const value = z
    .log()
    .sub(inverse.mul(0.5))
    .sub(series)
    .sub(where(small, sum, 0));
  const fraction = a.sub(a.round());
  const pole = fraction.eq(0).logicalAnd(reflected);
  const angle = where(pole, 0.25, fraction).mul(Math.PI);
  const mirror = value.sub(angle.cos().div(angle.sin()).mul(Math.PI));
  const zero = where(a.eq(0), a.reciprocal().neg(), Number.NaN);
  return where(pole, zero, where(reflected, mirror, value));
}

/** log(p / (1 - p)). */
export function logit(p: Term): NDArray {
  const a = toFloats(p);
  return a.log().sub(a.neg().log1p());
}
