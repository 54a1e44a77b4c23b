// Sine and cosine of any f32 angle. The built-in ones lose the angle's fraction from some hundred radians on, and whether `fma`
// rounds once is up to the device; so the angle is reduced in integers: angle / 2π in units of 2^-32 turns.

import { multiplyHigh } from './integers.ts';

/** Words of floor(2^96 / 2π), lowest first. */
const turnWords = [0x7f09d5f4, 0x9391054a, 0x28be60db] as const;

/**
 * `sin_cos(angle)` as `vec2(sin, cos)`, to about 2^-23, for |angle| < 2^31. Polynomials on a quarter turn from Cephes
 * (sinf.c, Moshier).
 */
export const sinCos = `${multiplyHigh}/** The fraction of a turn, in units of 2^-32, of an angle of at least 0.5 without its sign. */
fn turn_fraction(bits: u32) -> u32 {
  let mantissa = (bits & 0x7fffffu) | 0x800000u;
  let shift = 182u - (bits >> 23u);
  let words = select(vec3(0x${turnWords[0].toString(16)}u, 0x${turnWords[1].toString(16)}u, 0x${turnWords[2].toString(16)}u), vec3(0x${turnWords[1].toString(16)}u, 0x${turnWords[2].toString(16)}u, 0u), shift >= 32u);
  let s = shift & 31u;
  let carried = vec2(words.y, words.z) << vec2((32u - s) & 31u);
  let window = (words.xy >> vec2(s)) | select(carried, vec2(0u), s == 0u);
  return multiply_high(mantissa, window.x) + mantissa * window.y;
}
fn sin_cos(angle: f32) -> vec2<f32> {
  let bits = bitcast<u32>(angle) & 0x7fffffffu;
  var quarter = 0u;
  var r = abs(angle);
  if (bits >= 0x3f000000u) {
    let fraction = turn_fraction(bits);
    quarter = (fraction + 0x20000000u) >> 30u;
    r = f32(bitcast<i32>(fraction - (quarter << 30u))) * 1.4629180792671596e-9f;
  }
  let z = r * r;
  let s = r + r * z * (-1.6666654611e-1f + z * (8.3321608736e-3f - z * 1.9515295891e-4f));
  let c = 1.0f - 0.5f * z + z * z * (4.166664568298827e-2f + z * (-1.388731625493765e-3f + z * 2.443315711809948e-5f));
  let turned = select(vec2(s, c), vec2(c, s), (quarter & 1u) == 1u);
  let sine = select(turned.x, -turned.x, (quarter & 2u) == 2u);
  let cosine = select(turned.y, -turned.y, ((quarter + 1u) & 2u) == 2u);
  return vec2(select(sine, -sine, angle < 0.0f), cosine);
}
`;
