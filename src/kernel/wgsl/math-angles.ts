// Sine and cosine in WGSL: reduction by quarter turns, short for small angles and exact for all others, then polynomials.

import { multiplyHigh } from './integers.ts';
import type { Functions, Lanes } from './math.ts';

/** Reduction of the lanes that are beyond the short way. */
function largeAngles(lanes: Lanes): string {
  const one = (lane: string): string => `let w = reduce_one(x${lane});
      r${lane} = select(w.x, -w.x, x${lane} < 0.0);
      q${lane} = select(i32(w.y), -i32(w.y), x${lane} < 0.0);`;
  if (lanes === 1) return `if (abs(x) > 6000.0) {\n    ${one('')}\n  }`;
  return `if (any(abs(x) > F(6000.0))) {
    for (var j = 0u; j < 4u; j++) {
      if (abs(x[j]) <= 6000.0) { continue; }
      ${one('[j]')}
    }
  }`;
}

/** By name; the text may use each other and math.ts. */
export const angleFunctions = (lanes: Lanes): Functions => ({
  reduce_one: `// x - n pi/2 for a large |x|, and n modulo 4: 24 bits of x times 96 bits of 2/pi
var<private> two_over_pi: array<u32, 7> = array<u32, 7>(
  0xa2f9836eu, 0x4e441529u, 0xfc2757d1u, 0xf534ddc0u, 0xdb629599u, 0x3c439041u, 0xfe5163abu);
${multiplyHigh}fn multiply_wide(a: u32, b: u32) -> vec2<u32> { return vec2<u32>(a * b, multiply_high(a, b)); }
fn two_over_pi_at(bit: u32) -> u32 {
  let word = bit >> 5u;
  let shift = bit & 31u;
  if (shift == 0u) { return two_over_pi[word]; }
  return (two_over_pi[word] << shift) | (two_over_pi[word + 1u] >> (32u - shift));
}
fn reduce_one(x: f32) -> vec2<f32> {
  let u = bitcast<u32>(x);
  // x = m 2^(e - 150); bits of 2/pi that only add multiples of 4 are left out
  let e = (u >> 23u) & 0xffu;
  let m = (u & 0x7fffffu) | 0x800000u;
  let drop = max(e, 152u) - 152u;
  let keep = 152u - min(e, 152u);
  let a = two_over_pi_at(drop);
  let b = two_over_pi_at(drop + 32u);
  let c = two_over_pi_at(drop + 64u);
  let low = multiply_wide(m, c);
  let mid = multiply_wide(m, b);
  let top = multiply_wide(m, a);
  let word1 = mid.x + low.y;
  let carry = mid.y + select(0u, 1u, word1 < low.y);
  let word0 = top.x + carry;
  let word = top.y + select(0u, 1u, word0 < carry);
  // (word, word0, word1) is x 2/pi modulo 4 in units of 2^-(62 + keep): high in units of 2^-30, next what follows
  var high = word0;
  var next = word1;
  if (keep > 0u) {
    high = (word0 >> keep) | (word << (32u - keep));
    next = (word1 >> keep) | (word0 << (32u - keep));
  }
  let n = (high + 0x20000000u) >> 30u;
  let fraction = bitcast<i32>((high << 2u) | (next >> 30u)); // of a quadrant, from -1/2 to 1/2
  let finer = f32(next << 2u) * 2.3283064e-10;
  return vec2<f32>((f32(fraction >> 8u) * 256.0 + (f32(fraction & 255) + finer)) * 3.6572952e-10, f32(n));
}`,
  reduce_quarter: `// (x - n pi/2, n): three parts of pi/2 whose products with n < 2^12 are exact
struct Angle { r: F, n: I }
fn reduce_quarter(x: F) -> Angle {
  let n = round(clamp(x, F(-6000.0), F(6000.0)) * 0.63661977);
  var r = ((x - n * 1.5703125) - n * 4.8351287841796875e-4) - n * 3.1385570764541626e-7;
  r = r - n * 6.0771005065061922e-11;
  var q = I(n);
  ${largeAngles(lanes)}
  return Angle(r, q);
}`,
  sin_cos: `fn sin_reduced(r: F) -> F {
  let t = r * r;
  var p = 2.717939878e-6 * t - F(1.983929542e-4);
  p = p * t + F(8.333329111e-3);
  p = p * t - F(1.666666716e-1);
  return p * (t * r) + r;
}
fn cos_reduced(r: F) -> F {
  let t = r * r;
  var p = 2.443484300e-5 * t - F(1.388733741e-3);
  p = p * t + F(4.166664556e-2);
  return p * (t * t) + (F(1.0) - 0.5 * t);
}
fn sin_cos(angle: Angle, turn: I) -> F {
  let q = angle.n + turn;
  let s = select(sin_reduced(angle.r), cos_reduced(angle.r), (q & I(1)) == I(1));
  return select(s, -s, (q & I(2)) == I(2));
}`,
  sin_f32: `fn sin_f32(x: F) -> F {
  return select(select(sin_cos(reduce_quarter(x), I(0)), x, x == F(0.0)), not_a_number(), !(abs(x) < infinity()));
}`,
  cos_f32: `fn cos_f32(x: F) -> F {
  return select(sin_cos(reduce_quarter(x), I(1)), not_a_number(), !(abs(x) < infinity()));
}`,
  tan_f32: 'fn tan_f32(x: F) -> F { return sin_f32(x) / cos_f32(x); }',
});
