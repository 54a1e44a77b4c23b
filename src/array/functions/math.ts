// Elementary functions made of others, in f32, with errors of a few roundings. Polynomials are those of the Cephes library
// (S. Moshier, asinf.c, atanf.c).

import { isFloat } from '../../base/dtype.ts';
import type { NDArray } from '../array.ts';
import { commonDtype, type Term } from '../ops/elementwise/elementwise.ts';
import { pow } from '../ops/elementwise/pow.ts';
import { where } from '../ops/elementwise/where.ts';
import { withGradient } from '../ops/memory/identity.ts';
import { broadcastArrays } from './shape.ts';
import { differentiated, floatPair, polynomial, toArray, toFloats } from './terms.ts';

const half = Math.PI / 2;

/** asin of `a` in 0 … 1; NaN above. */
function arcsinPositive(a: NDArray): NDArray {
  const large = a.gt(0.5);
  const z = where(large, a.neg().add(1).mul(0.5), a.square());
  const s = where(large, z.sqrt(), a);
  const p = polynomial(
    z,
    [4.216319904e-2, 2.4181311049e-2, 4.5470025998e-2, 7.4953002686e-2, 1.6666752422e-1],
  );
  const core = p.mul(z).mul(s).add(s);
  return where(large, core.mul(-2).add(half), core);
}

/** Angle whose sine is x, in radians from -π/2 to π/2; NaN outside -1 … 1. */
export function arcsin(x: Term): NDArray {
  const a = toFloats(x);
  const y = withSign(arcsinPositive(a.abs()), a);
  return differentiated(y, a, (p) => p.square().neg().add(1).rsqrt());
}

/** Angle whose cosine is x, in radians from 0 to π; NaN outside -1 … 1. */
export function arccos(x: Term): NDArray {
  const a = toFloats(x);
  const near = arcsinPositive(a.abs().neg().add(1).mul(0.5).sqrt()).mul(2); // of |x| above 0.5
  const far = where(a.lt(0), near.neg().add(Math.PI), near);
  const middle = withSign(arcsinPositive(a.abs().minimum(0.5)), a)
    .neg()
    .add(half);
  const y = where(a.abs().gt(0.5), far, middle);
  const valid = where(a.isnan(), a, y);
  return differentiated(valid, a, (p) => p.square().neg().add(1).rsqrt().neg());
}

/** atan of `a` from 0 on. */
function arctanPositive(a: NDArray): NDArray {
  const steep = a.gt(2.414213562);
  const middle = a.gt(0.4142135624);
  const inner = where(middle, a.sub(1).div(a.add(1)), a);
  const z = where(steep, a.reciprocal().neg(), inner);
  const start = where(steep, half, where(middle, Math.PI / 4, 0));
  const zz = z.square();
  const p = polynomial(zz, [8.05374449538e-2, -1.38776856032e-1, 1.99777106478e-1, -3.33329491539e-1]);
  return p.mul(zz).mul(z).add(z).add(start);
}

/** Angle whose tangent is x, in radians from -π/2 to π/2. */
export function arctan(x: Term): NDArray {
  const a = toFloats(x);
  const y = withSign(arctanPositive(a.abs()), a).cast(a.dtype);
  return differentiated(y, a, (p) => p.square().add(1).reciprocal());
}

/** Angle of the point (x, y), in radians from -π to π; signs of zeros count. */
export function arctan2(y: Term, x: Term): NDArray {
  const [p0, q0] = floatPair(y, x);
  const [a, b] = broadcastArrays(p0, q0) as readonly [NDArray, NDArray];
  const [up, across] = [a.abs(), b.abs()];
  const [low, high] = [up.minimum(across), up.maximum(across)];
  const ratio = where(high.eq(0), 0, where(low.eq(Number.POSITIVE_INFINITY), 1, low.div(high)));
  const acute = arctanPositive(ratio);
  const steep = where(up.gt(across), acute.neg().add(half), acute);
  const angle = withSign(where(signbit(b), steep.neg().add(Math.PI), steep), a);
  const result = where(a.isnan().logicalOr(b.isnan()), Number.NaN, angle).cast(a.dtype);
  return withGradient([result], [a, b], ([p, q], [g]) => {
    const square = (p as NDArray).square().add((q as NDArray).square());
    return [
      (g as NDArray).mul((q as NDArray).div(square)),
      (g as NDArray).mul((p as NDArray).div(square)).neg(),
    ];
  })[0] as NDArray;
}

/** Hyperbolic sine. */
export function sinh(x: Term): NDArray {
  const a = toFloats(x);
  const e = a.abs().minimum(40).expm1();
  const small = e.add(e.div(e.add(1))).mul(0.5);
  const large = a.abs().sub(Math.LN2).exp();
  return differentiated(withSign(where(a.abs().gt(20), large, small), a), a, cosh);
}

/** Hyperbolic cosine. */
export function cosh(x: Term): NDArray {
  const a = toFloats(x).abs();
  const y = a.sub(Math.LN2).exp().add(a.neg().sub(Math.LN2).exp());
  return differentiated(y, toFloats(x), sinh);
}

/** Inverse hyperbolic sine. */
export function arcsinh(x: Term): NDArray {
  const a = toFloats(x);
  const b = a.abs();
  const square = b.minimum(1e10).square();
  const small = b.add(square.div(square.add(1).sqrt().add(1))).log1p();
  const y = where(b.gt(1e10), b.log().add(Math.LN2), small);
  return differentiated(withSign(y, a), a, (p) => p.square().add(1).rsqrt());
}

/** Inverse hyperbolic cosine; NaN below 1. */
export function arccosh(x: Term): NDArray {
  const a = toFloats(x);
  const t = a.minimum(1e10).sub(1);
  const small = t.add(t.mul(2).add(t.square()).sqrt()).log1p();
  const y = where(a.lt(1), Number.NaN, where(a.gt(1e10), a.log().add(Math.LN2), small));
  return differentiated(y, a, (p) => p.sub(1).mul(p.add(1)).rsqrt());
}

/** Inverse hyperbolic tangent; infinite at -1 and 1, NaN outside. */
export function arctanh(x: Term): NDArray {
  const a = toFloats(x);
  const b = a.abs();
  const y = b.mul(2).div(b.neg().add(1)).log1p().mul(0.5);
  return differentiated(withSign(y, a), a, (p) => p.square().neg().add(1).reciprocal());
}

export const log2 = (x: Term): NDArray => toFloats(x).log().mul(Math.LOG2E);
export const log10 = (x: Term): NDArray => toFloats(x).log().mul(Math.LOG10E);
/** 2 to the x, exact for integers. */
export function exp2(x: Term): NDArray {
  const a = toFloats(x);
  return differentiated(pow(2, a), a, (_, y) => y.mul(Math.LN2));
}
/** Real cube root. */
export function cbrt(x: Term): NDArray {
  const a = toFloats(x);
  const b = a.abs();
  const guess = b.pow(1 / 3);
  // One step of Newton takes away the rounding of 1/3.
  const better = guess.sub(guess.sub(b.div(guess.square())).div(3));
  const y = where(b.eq(0).logicalOr(b.eq(Number.POSITIVE_INFINITY)), b, better);
  return differentiated(withSign(y, a), a, (_, r) => r.square().mul(3).reciprocal());
}
export const degrees = (x: Term): NDArray => toFloats(x).mul(180 / Math.PI);
export const radians = (x: Term): NDArray => toFloats(x).mul(Math.PI / 180);
/** sin(πx) / πx, 1 at 0. */
export function sinc(x: Term): NDArray {
  const a = toFloats(x);
  const safe = where(a.eq(0), 1, a);
  const turn = a.sub(a.div(2).round().mul(2)); // sin repeats; whole numbers become exact zeros
  const fold = where(turn.abs().gt(0.5), where(turn.gt(0), turn.neg().add(1), turn.neg().sub(1)), turn);
  return where(a.eq(0), 1, fold.mul(Math.PI).sin().div(safe.mul(Math.PI)));
}

/** Length of (a, b), without overflow on the way; infinite beside an infinity, as in C. */
export function hypot(a: Term, b: Term): NDArray {
  const [x, y] = floatPair(a, b).map((v) => v.abs()) as [NDArray, NDArray];
  const large = x.maximum(y);
  const scale = where(large.eq(0).logicalOr(large.eq(Number.POSITIVE_INFINITY)), 1, large);
  const length = x.div(scale).square().add(y.div(scale).square()).sqrt().mul(scale);
  const infinite = x.eq(Number.POSITIVE_INFINITY).logicalOr(y.eq(Number.POSITIVE_INFINITY));
  return where(infinite, Number.POSITIVE_INFINITY, length);
}

/** True where the sign is set, also of -0. */
export function signbit(x: Term): NDArray {
  const a = toArray(x);
  return a.lt(0).logicalOr(a.eq(0).logicalAnd(toFloats(a).reciprocal().lt(0)));
}

/** |a| with the sign of b. */
export function copysign(a: Term, b: Term): NDArray {
  const [x, sign] = floatPair(a, b);
  return where(signbit(sign), x.abs().neg(), x.abs());
}

const withSign = (magnitude: NDArray, x: NDArray): NDArray => where(signbit(x), magnitude.neg(), magnitude);

/** Remainder with the sign of the dividend, as C's fmod. */
export function fmod(a: Term, b: Term): NDArray {
  const dtype = commonDtype(a, b);
  const [x, y] = [toArray(a).cast(dtype), toArray(b).cast(dtype)];
  const r = x.abs().mod(y.abs());
  return where(x.lt(0), r.neg(), r);
}

/** Quotient rounded toward minus infinity, and remainder. */
export const divmod = (a: Term, b: Term): readonly [quotient: NDArray, remainder: NDArray] => [
  toArray(a).floorDivide(b),
  toArray(a).mod(b),
];

/** 0 below 0, `at` at 0, 1 above; NaN stays. */
export function heaviside(x: Term, at: Term): NDArray {
  const a = toArray(x);
  const steps = where(a.eq(0), at, a.gt(0).cast(toFloats(x).dtype));
  return isFloat(a.dtype) ? where(a.isnan(), Number.NaN, steps) : steps;
}

/** x log(y), 0 where x is 0. */
export function xlogy(x: Term, y: Term): NDArray {
  const zero = toArray(x)
    .eq(0)
    .logicalAnd(isnot(toArray(y).isnan()));
  return where(zero, 0, toFloats(x).mul(where(zero, 1, toFloats(y)).log()));
}
const isnot = (x: NDArray): NDArray => x.logicalNot();

/** The larger operand; a number wins over NaN. */
export const fmax = (a: Term, b: Term): NDArray =>
  where(toArray(a).isnan(), b, where(toArray(b).isnan(), a, toArray(a).maximum(b)));
/** The smaller operand; a number wins over NaN. */
export const fmin = (a: Term, b: Term): NDArray =>
  where(toArray(a).isnan(), b, where(toArray(b).isnan(), a, toArray(a).minimum(b)));
