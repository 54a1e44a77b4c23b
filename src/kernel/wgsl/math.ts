// Functions of tile instructions in WGSL. `F I U B` are the types of a value: one element or a vector of four, as the
// aliases of `valueTypes` say, so the same text serves both. Builtins are too loose for some of these (exp, sin, pow) or
// leave NaN open (min, max): these meet the tolerances of the ops. Bits decide what is NaN, since compilers may assume there
// is none.

import { angleFunctions } from './math-angles.ts';

export type Lanes = 1 | 4;

/** WGSL by the name that it defines, or several: `a|b`. */
export type Functions = Readonly<Record<string, string>>;

/** The aliases that the functions are written in. */
export const valueTypes = (lanes: Lanes): string =>
  lanes === 1
    ? 'alias F = f32;\nalias I = i32;\nalias U = u32;\nalias B = bool;\n'
    : 'alias F = vec4<f32>;\nalias I = vec4<i32>;\nalias U = vec4<u32>;\nalias B = vec4<bool>;\n';

const exponentials: Functions = {
  pow2: 'fn pow2(n: I) -> F { return bitcast<F>((n + I(127)) << U(23u)); }',
  exp_reduced: `// e^r for |r| <= ln 2 / 2
fn exp_reduced(r: F) -> F {
  var p = 1.395047875e-3 * r + F(8.368884213e-3);
  p = p * r + F(4.166620597e-2);
  p = p * r + F(1.666651815e-1);
  p = p * r + F(0.5);
  return p * (r * r) + r + F(1.0);
}`,
  exp_f32: `fn exp_f32(x: F) -> F {
  let y = clamp(x, F(-105.0), F(89.0));
  let n = round(y * 1.44269504);
  let r = (y - n * 0.693359375) + n * 2.12194440e-4;
  let k = I(n);
  let half = k >> U(1u);
  return select(exp_reduced(r) * pow2(half) * pow2(k - half), x, is_nan(x));
}`,
  expm1_f32: `fn expm1_f32(x: F) -> F {
  var p = 1.998968073e-4 * x + F(1.398525317e-3);
  p = p * x + F(8.333092555e-3);
  p = p * x + F(4.166579992e-2);
  p = p * x + F(1.666666716e-1);
  let small = (p * x + F(0.5)) * (x * x) + x;
  return select(exp_f32(x) - F(1.0), select(small, x, x == F(0.0)), abs(x) < F(0.5));
}`,
  log_f32: `fn log_f32(x: F) -> F {
  let tiny = x < F(1.17549435e-38);
  let y = select(x, x * 8388608.0, tiny);
  let bits = bitcast<I>(y);
  let e = (bits - I(0x3f3504f3)) >> U(23u); // mantissa from sqrt(1/2) to sqrt(2)
  let n = F(e) - select(F(0.0), F(23.0), tiny);
  let f = bitcast<F>(bits - (e << U(23u))) - F(1.0);
  var p = 6.915105134e-2 * f - F(1.178967506e-1);
  p = p * f + F(1.187302396e-1);
  p = p * f - F(1.238437444e-1);
  p = p * f + F(1.421865523e-1);
  p = p * f - F(1.666924953e-1);
  p = p * f + F(2.000222653e-1);
  p = p * f - F(2.499998659e-1);
  p = p * f + F(3.333331048e-1);
  let f2 = f * f;
  let tail = p * (f2 * f) - n * 2.12194440e-4;
  var r = (f - (0.5 * f2 - tail)) + n * 0.693359375;
  r = select(r, -infinity(), x == F(0.0));
  r = select(r, x, x == infinity());
  return select(r, not_a_number(), (x < F(0.0)) | is_nan(x));
}`,
  log1p_f32: `fn log1p_f32(x: F) -> F {
  let u = F(1.0) + x;
  let exact = u - F(1.0); // log(u) is the logarithm of 1 + exact
  let r = log_f32(u) * (x / exact);
  let ends = (abs(x) < F(5.9604645e-8)) | (x == infinity());
  return select(select(r, -infinity(), x == F(-1.0)), x, ends);
}`,
  sigmoid_f32: 'fn sigmoid_f32(x: F) -> F { return F(1.0) / (F(1.0) + exp_f32(-x)); }',
  silu_f32: 'fn silu_f32(x: F) -> F { return x / (F(1.0) + exp_f32(-x)); }',
  gelu_tanh_f32: `// x sigmoid(2u), u = sqrt(2/pi) (x + 0.044715 x^3)
fn gelu_tanh_f32(x: F) -> F {
  return x / (F(1.0) + exp_f32(-x * (F(1.5957691216) + 0.0713548163 * (x * x))));
}`,
  tanh_f32: `fn tanh_f32(x: F) -> F {
  let a = abs(x);
  let t = x * x;
  var p = 2.147535793e-3 * t - F(8.182672784e-3);
  p = p * t + F(2.170296572e-2);
  p = p * t - F(5.394720286e-2);
  p = p * t + F(1.333321035e-1);
  p = p * t - F(3.333333135e-1);
  let big = F(1.0) - F(2.0) / (exp_f32(a + a) + F(1.0));
  return select(with_sign(big, x), p * (t * x) + x, a < F(0.625));
}`,
  erf_small: `// |x| < 0.9
fn erf_small(x: F) -> F {
  let t = x * x;
  var p = 8.409916336e-5 * t - F(8.152626688e-4);
  p = p * t + F(5.201959983e-3);
  p = p * t - F(2.685979940e-2);
  p = p * t + F(1.128370315e-1);
  p = p * t - F(3.761263490e-1);
  return x * (p * t + F(1.12837917));
}`,
  erfc_big: `// 1 - erf(a) for a >= 0.88
fn erfc_big(a: F) -> F {
  let b = min(a, F(4.0));
  var p = -8.819417303e-7 * b - F(9.296067219e-6);
  p = p * b + F(3.668267454e-4);
  p = p * b - F(3.954024054e-3);
  p = p * b + F(2.469285019e-2);
  p = p * b - F(1.077540219e-1);
  p = p * b + F(3.662553728e-1);
  p = p * b - F(1.129346251);
  p = p * b + F(1.439653424e-4);
  return exp_f32(p - a * a);
}`,
  erf_f32: `fn erf_f32(x: F) -> F {
  let a = abs(x);
  let r = select(with_sign(F(1.0) - erfc_big(a), x), erf_small(x), a < F(0.9));
  return select(r, x, is_nan(x));
}`,
  gelu_erf_f32: `fn gelu_erf_f32(x: F) -> F {
  let z = x * 0.70710678;
  let a = abs(z);
  let e = 0.5 * erfc_big(a);
  let big = x * select(e, F(1.0) - e, x > F(0.0));
  let r = select(big, 0.5 * x * (F(1.0) + erf_small(z)), a < F(0.9));
  return select(select(r, F(0.0), x == -infinity()), x, is_nan(x));
}`,
};

const powers: Functions = {
  upper_half: `// the 12 upper bits of the mantissa: products of two such numbers are exact
fn upper_half(x: F) -> F { return bitcast<F>(bitcast<U>(x) & U(0xfffff000u)); }`,
  pow_positive: `// a^y for a > 0, finite: the logarithm in two parts, so that large exponents keep their digits
fn pow_positive(a: F, y: F) -> F {
  let tiny = a < F(1.17549435e-38);
  let bits = bitcast<I>(select(a, a * 8388608.0, tiny));
  let e = (bits - I(0x3f3504f3)) >> U(23u);
  let n = F(e) - select(F(0.0), F(23.0), tiny);
  let f = bitcast<F>(bits - (e << U(23u))) - F(1.0);
  // log(1 + f) = 2 s + s^3 (2/3 + 2/5 s^2 + …), s = f / (2 + f)
  let below = F(2.0) + f;
  let s = f / below;
  let s_high = upper_half(s);
  let below_high = upper_half(below);
  let below_low = f - (below_high - F(2.0));
  let s_low = ((f - s_high * below_high) - s_high * below_low) / below;
  let t = s * s;
  var p = 0.181818 * t + F(0.2222222);
  p = p * t + F(0.2857143);
  p = p * t + F(0.4);
  p = p * t + F(0.6666667);
  let whole = n * 0.693359375;
  let high = whole + 2.0 * s_high;
  let lost = 2.0 * s_high - (high - whole);
  let low = lost + (2.0 * s_low + (p * t * s - n * 2.12194440e-4));
  let log_high = upper_half(high + low);
  let log_low = (high - log_high) + low;
  let y_high = upper_half(y);
  let main = y_high * log_high;
  let rest = (y - y_high) * log_high + y * log_low;
  let whole_power = main + rest;
  let k = round(clamp(whole_power, F(-110.0), F(110.0)) * 1.44269504);
  let r = (main - k * 0.693359375) + (k * 2.12194440e-4 + rest);
  let ki = I(k);
  let half = ki >> U(1u);
  let inside = exp_reduced(clamp(r, F(-1.0), F(1.0))) * pow2(half) * pow2(ki - half);
  let big = select(inside, infinity(), whole_power > F(89.0));
  return select(big, F(0.0), whole_power < F(-105.0));
}`,
  pow_f32: `fn pow_f32(x: F, y: F) -> F {
  let a = abs(x);
  let end = (a == F(0.0)) | (a == infinity());
  let grows = (a > F(1.0)) == (y > F(0.0));
  var r = select(pow_positive(a, y), select(F(0.0), infinity(), grows), end);
  // an infinite exponent
  r = select(r, select(F(0.0), infinity(), grows), abs(y) == infinity());
  let integral = trunc(y) == y;
  let odd = integral & (abs(y) < F(16777216.0)) & ((I(clamp(y, F(-16777216.0), F(16777216.0))) & I(1)) == I(1));
  let negative = bitcast<I>(x) < I(0);
  r = select(r, -r, negative & odd);
  r = select(r, not_a_number(), (x < F(0.0)) & (a < infinity()) & !integral);
  r = select(r, not_a_number(), is_nan(x) | is_nan(y));
  let one = (y == F(0.0)) | (x == F(1.0)) | ((x == F(-1.0)) & (abs(y) == infinity()));
  return select(r, F(1.0), one);
}`,
  mod_one: `// a - b floor(a / b), exactly: long division of the mantissas, eight bits at a time
fn mod_one(a: f32, b: f32) -> f32 {
  let ua = bitcast<u32>(a) & 0x7fffffffu;
  let ub = bitcast<u32>(b) & 0x7fffffffu;
  if (ua >= 0x7f800000u || ub > 0x7f800000u || ub == 0u) { return nan_one(); }
  let sign_b = bitcast<u32>(b) & 0x80000000u;
  var rest = ua;
  if (ua >= ub) {
    let ea = max(ua >> 23u, 1u);
    let eb = max(ub >> 23u, 1u);
    let mb = (ub & 0x7fffffu) | select(0u, 0x800000u, ub >= 0x800000u);
    var m = ((ua & 0x7fffffu) | select(0u, 0x800000u, ua >= 0x800000u)) % mb;
    for (var e = ea - eb; e > 0u && m != 0u; ) {
      let step = min(e, 8u);
      m = (m << step) % mb;
      e -= step;
    }
    rest = 0u;
    if (m != 0u) {
      let shift = min(countLeadingZeros(m) - 8u, eb - 1u);
      m <<= shift;
      rest = select(m, ((eb - shift) << 23u) | (m & 0x7fffffu), m >= 0x800000u);
    }
  }
  if (rest == 0u) { return bitcast<f32>(sign_b); }
  let sign_a = bitcast<u32>(a) & 0x80000000u;
  let r = bitcast<f32>(rest | sign_a);
  return select(r, r + b, sign_a != sign_b);
}
fn nan_one() -> f32 { return bitcast<f32>(nan_bits); }`,
};

const basics: Functions = {
  infinity: `var<private> infinity_bits: u32 = 0x7f800000u; // a variable: constants cannot be infinite
fn infinity() -> F { return F(bitcast<f32>(infinity_bits)); }`,
  not_a_number: 'fn not_a_number() -> F { return F(bitcast<f32>(nan_bits)); }',
  nan_bits: 'var<private> nan_bits: u32 = 0x7fc00000u;',
  is_nan: 'fn is_nan(x: F) -> B { return (bitcast<U>(x) & U(0x7fffffffu)) > U(0x7f800000u); }',
  with_sign: `fn with_sign(magnitude: F, sign: F) -> F {
  return bitcast<F>((bitcast<U>(magnitude) & U(0x7fffffffu)) | (bitcast<U>(sign) & U(0x80000000u)));
}`,
  min_f32: `fn min_f32(a: F, b: F) -> F {
  return select(select(min(a, b), b, is_nan(b)), a, is_nan(a));
}`,
  max_f32: `fn max_f32(a: F, b: F) -> F {
  return select(select(max(a, b), b, is_nan(b)), a, is_nan(a));
}`,
  div_i32: `fn div_i32(a: I, b: I) -> I { // toward minus infinity; 0 for a zero divisor
  let d = select(b, I(1), b == I(0));
  let q = a / d;
  let r = a - q * d;
  let floored = select(q, q - I(1), (r != I(0)) & ((r ^ d) < I(0)));
  return select(floored, I(0), b == I(0));
}`,
  mod_i32: `fn mod_i32(a: I, b: I) -> I { return select(a - b * div_i32(a, b), I(0), b == I(0)); }`,
  pow_u32: `fn pow_u32(a: U, b: U) -> U { // by squaring; wraps
  var result = U(1u);
  var base = a;
  var left = b;
  for (var i = 0u; i < 32u; i++) {
    result = select(result, result * base, (left & U(1u)) == U(1u));
    base *= base;
    left = left >> U(1u);
  }
  return result;
}`,
  pow_i32: `fn pow_i32(a: I, b: I) -> I {
  let odd = (b & I(1)) == I(1);
  let unit = select(select(I(0), select(I(1), I(-1), odd), a == I(-1)), I(1), a == I(1));
  return select(bitcast<I>(pow_u32(bitcast<U>(a), bitcast<U>(b))), unit, b < I(0));
}`,
  div_u32: 'fn div_u32(a: U, b: U) -> U { return select(a / max(b, U(1u)), U(0u), b == U(0u)); }',
  mod_u32: 'fn mod_u32(a: U, b: U) -> U { return select(a % max(b, U(1u)), U(0u), b == U(0u)); }',
  f32_to_i32: `fn f32_to_i32(x: F) -> I {
  let inside = I(clamp(x, F(-2147483648.0), F(2147483520.0)));
  return select(select(inside, I(0x7fffffff), x >= F(2147483648.0)), I(0), is_nan(x));
}`,
  f32_to_u32: `fn f32_to_u32(x: F) -> U {
  let inside = U(clamp(x, F(0.0), F(4294967040.0)));
  return select(select(inside, U(0xffffffffu), x >= F(4294967296.0)), U(0u), is_nan(x));
}`,
};

/** In place of the same names where every result is stored in 16 bits: the built-in is within 2 |x| + 3 units of f32. */
const looseFunctions: Functions = {
  exp_f32: 'fn exp_f32(x: F) -> F { return select(exp(x), x, is_nan(x)); }',
};

/** For values of so many lanes. */
export const mathFunctions = (lanes: Lanes, loose = false): Functions => ({
  ...basics,
  ...exponentials,
  ...(loose ? looseFunctions : {}),
  ...powers,
  ...angleFunctions(lanes),
  mod_f32:
    lanes === 1
      ? 'fn mod_f32(a: F, b: F) -> F { return mod_one(a, b); }'
      : `fn mod_f32(a: F, b: F) -> F {
  var r = a;
  for (var j = 0u; j < 4u; j++) { r[j] = mod_one(a[j], b[j]); }
  return r;
}`,
});

/** Those of `all` that `code` calls, with those they call. */
export function calledFunctions(all: Functions, code: string): string {
  const needed = new Set<string>();
  const add = (text: string): void => {
    for (const [names, body] of Object.entries(all)) {
      if (needed.has(names) || !new RegExp(`\\b(${names})\\b`).test(text)) continue;
      needed.add(names);
      add(body);
    }
  };
  add(code);
  return Object.entries(all)
    .filter(([names]) => needed.has(names))
    .map(([, text]) => `${text.trimEnd()}\n`)
    .join('');
}
