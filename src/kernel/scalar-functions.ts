// What each tile instruction computes on one element, as plain TypeScript: the reference of the native interpreter.
// Results are exact or double precision; the register they go to rounds or wraps them (`toRegister`).

import type { RegisterKind, TileOpcode } from './tile-opcodes.ts';

/** Up to three operands; bool is 0 or 1. */
export type ScalarFunction = (a: number, b: number, c: number) => number;

/** The value a register of this kind holds after a write of `x`. */
export function toRegister(kind: RegisterKind, x: number): number {
  switch (kind) {
    case 'f32':
      return Math.fround(x);
    case 'i32':
      return x | 0;
    case 'u32':
      return x >>> 0;
    case 'bool':
      return x === 0 ? 0 : 1;
    default:
      return kind satisfies never;
  }
}

const truth = (b: boolean): number => (b ? 1 : 0);
const sigmoid = (x: number): number => 1 / (1 + Math.exp(-x));
const floorDivide: ScalarFunction = (a, b) => (b === 0 ? 0 : Math.floor(a / b));
const floorModulo: ScalarFunction = (a, b) => (b === 0 ? 0 : a - b * Math.floor(a / b));

function floatModulo(a: number, b: number): number {
  const r = a % b;
  if (r === 0) return b < 0 || Object.is(b, -0) ? -0 : 0;
  return r < 0 !== b < 0 ? r + b : r;
}

/** C's pow: JavaScript gives NaN for powers of 1 and -1 that C and NumPy call 1. */
function floatPower(a: number, b: number): number {
  if (a === 1 || (a === -1 && Math.abs(b) === Number.POSITIVE_INFINITY)) return 1;
  return a ** b;
}

/** By squaring, modulo 2^32; the register it goes to makes it signed or not. */
function integerPower(a: number, b: number): number {
  if (b < 0) return a === 1 ? 1 : a === -1 ? (b & 1 ? -1 : 1) : 0;
  let result = 1;
  for (let base = a, left = b; left !== 0; base = Math.imul(base, base), left >>>= 1) {
    if (left & 1) result = Math.imul(result, base);
  }
  return result;
}

function roundHalfEven(x: number): number {
  const r = Math.round(x); // halves go up
  const even = r - x === 0.5 && r % 2 !== 0 ? r - 1 : r;
  return even === 0 && (x < 0 || Object.is(x, -0)) ? -0 : even;
}

const saturate = (x: number, low: number, high: number): number =>
  Number.isNaN(x) ? 0 : Math.min(Math.max(Math.trunc(x), low), high);

/** Error function to double rounding: a series of positive terms below 3, a continued fraction above. */
export function erf(x: number): number {
  const a = Math.abs(x);
  if (a >= 3) return Math.sign(x) * (1 - erfcTail(a));
  let term = x;
  let sum = x; // sum of x (2x^2)^n / (1 3 5 ... (2n+1)), https://dlmf.nist.gov/7.6.E2
  for (let n = 1; Math.abs(term) > 1e-17 * Math.abs(sum); n++) {
    term *= (2 * x * x) / (2 * n + 1);
    sum += term;
  }
  return (2 / Math.sqrt(Math.PI)) * Math.exp(-x * x) * sum;
}

/** Complementary error function for x >= 3, https://dlmf.nist.gov/7.9.E1 in backward order. */
function erfcTail(x: number): number {
  if (x > 27) return 0;
  let f = x;
  for (let n = 60; n >= 1; n--) f = x + n / 2 / f;
  return Math.exp(-x * x) / (Math.sqrt(Math.PI) * f);
}
const erfc = (x: number): number => (x >= 3 ? erfcTail(x) : 1 - erf(x));

const geluTanh = (x: number): number => x * sigmoid(2 * Math.sqrt(2 / Math.PI) * (x + 0.044715 * x * x * x));
const geluErf = (x: number): number => 0.5 * x * erfc(-x * Math.SQRT1_2);

const equal: ScalarFunction = (a, b) => truth(a === b);
const unequal: ScalarFunction = (a, b) => truth(a !== b);
const less: ScalarFunction = (a, b) => truth(a < b);
const lessEqual: ScalarFunction = (a, b) => truth(a <= b);
const greater: ScalarFunction = (a, b) => truth(a > b);
const greaterEqual: ScalarFunction = (a, b) => truth(a >= b);
const same: ScalarFunction = (a) => a;
const nonzero: ScalarFunction = (a) => truth(a !== 0);

/** One function per instruction. Shift counts are taken modulo 32 by the shift operators themselves. */
export const scalarFunctions: Readonly<Record<TileOpcode, ScalarFunction>> = {
  add_f32: (a, b) => a + b,
  sub_f32: (a, b) => a - b,
  mul_f32: (a, b) => a * b,
  div_f32: (a, b) => a / b,
  mod_f32: floatModulo,
  pow_f32: floatPower,
  min_f32: (a, b) => Math.min(a, b),
  max_f32: (a, b) => Math.max(a, b),
  neg_f32: (a) => -a,
  abs_f32: Math.abs,
  sign_f32: Math.sign,
  square_f32: (a) => a * a,
  sqrt_f32: Math.sqrt,
  rsqrt_f32: (a) => 1 / Math.sqrt(a),
  reciprocal_f32: (a) => 1 / a,
  exp_f32: Math.exp,
  expm1_f32: Math.expm1,
  log_f32: Math.log,
  log1p_f32: Math.log1p,
  sin_f32: Math.sin,
  cos_f32: Math.cos,
  tan_f32: Math.tan,
  tanh_f32: Math.tanh,
  sigmoid_f32: sigmoid,
  erf_f32: erf,
  floor_f32: Math.floor,
  ceil_f32: Math.ceil,
  round_f32: roundHalfEven,
  trunc_f32: Math.trunc,
  silu_f32: (a) => a * sigmoid(a),
  gelu_tanh_f32: geluTanh,
  gelu_erf_f32: geluErf,
  isnan_f32: (a) => truth(Number.isNaN(a)),
  eq_f32: equal,
  ne_f32: unequal,
  lt_f32: less,
  le_f32: lessEqual,
  gt_f32: greater,
  ge_f32: greaterEqual,
  add_i32: (a, b) => a + b,
  sub_i32: (a, b) => a - b,
  mul_i32: Math.imul,
  div_i32: floorDivide,
  mod_i32: floorModulo,
  min_i32: (a, b) => Math.min(a, b),
  max_i32: (a, b) => Math.max(a, b),
  neg_i32: (a) => -a,
  abs_i32: Math.abs,
  sign_i32: Math.sign,
  and_i32: (a, b) => a & b,
  or_i32: (a, b) => a | b,
  xor_i32: (a, b) => a ^ b,
  not_i32: (a) => ~a,
  shl_i32: (a, b) => a << b,
  shr_i32: (a, b) => a >> b,
  eq_i32: equal,
  ne_i32: unequal,
  lt_i32: less,
  le_i32: lessEqual,
  gt_i32: greater,
  ge_i32: greaterEqual,
  add_u32: (a, b) => a + b,
  sub_u32: (a, b) => a - b,
  mul_u32: Math.imul,
  div_u32: floorDivide,
  mod_u32: floorModulo,
  min_u32: (a, b) => Math.min(a, b),
  max_u32: (a, b) => Math.max(a, b),
  and_u32: (a, b) => a & b,
  or_u32: (a, b) => a | b,
  xor_u32: (a, b) => a ^ b,
  not_u32: (a) => ~a,
  shl_u32: (a, b) => a << b,
  shr_u32: (a, b) => a >>> b,
  eq_u32: equal,
  ne_u32: unequal,
  lt_u32: less,
  le_u32: lessEqual,
  gt_u32: greater,
  ge_u32: greaterEqual,
  and_bool: (a, b) => a & b,
  or_bool: (a, b) => a | b,
  xor_bool: (a, b) => a ^ b,
  not_bool: (a) => 1 - a,
  eq_bool: equal,
  ne_bool: unequal,
  select: (a, b, c) => (a !== 0 ? b : c),
  f32_to_i32: (a) => saturate(a, -(2 ** 31), 2 ** 31 - 1),
  f32_to_u32: (a) => saturate(a, 0, 2 ** 32 - 1),
  f32_to_bool: nonzero,
  i32_to_f32: same,
  i32_to_u32: same,
  i32_to_bool: nonzero,
  u32_to_f32: same,
  u32_to_i32: same,
  u32_to_bool: nonzero,
  bool_to_f32: same,
  bool_to_i32: same,
  bool_to_u32: same,
  pow_i32: integerPower,
  pow_u32: integerPower,
};
