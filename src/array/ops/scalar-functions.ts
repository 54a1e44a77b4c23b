// What each tile instruction computes on one element, in plain TypeScript: the definition of every elementwise op.
// Results are rounded to the register's type by the caller (Math.fround, | 0, >>> 0).

import type { RegisterKind, TileOpcode } from '../../kernel/tile-opcodes.ts';

/** Up to three operands; bool is 0 or 1. */
export type ScalarFunction = (a: number, b: number, c: number) => number;

const bit = (b: boolean): number => (b ? 1 : 0);
const floorDiv: ScalarFunction = (a, b) => (b === 0 ? 0 : Math.floor(a / b));
const floorMod: ScalarFunction = (a, b) => (b === 0 ? 0 : a - b * Math.floor(a / b));
const sigmoid = (x: number): number => 1 / (1 + Math.exp(-x));
const shift = (b: number): number => b & 31;

/** Mod with the sign of the divisor, as NumPy's: exact where JavaScript's `%` is. */
function floatMod(a: number, b: number): number {
  const r = a % b;
  return r !== 0 && r < 0 !== b < 0 ? r + b : r;
}

function roundEven(x: number): number {
  const floor = Math.floor(x);
  const rest = x - floor;
  if (rest !== 0.5) return Math.round(x);
  return floor % 2 === 0 ? floor : floor + 1;
}

/** Taylor series of erf times exp(x^2), https://dlmf.nist.gov/7.6.E2; all terms have one sign, so nothing cancels. */
export function erf(x: number): number {
  if (Number.isNaN(x)) return x;
  if (Math.abs(x) > 6) return Math.sign(x);
  let term = x;
  let sum = x;
  for (let n = 1; n < 200 && Math.abs(term) > 1e-17 * Math.abs(sum); n++) {
    term *= (2 * x * x) / (2 * n + 1);
    sum += term;
  }
  return (2 / Math.sqrt(Math.PI)) * Math.exp(-x * x) * sum;
}

const geluTanh = (x: number): number =>
  0.5 * x * (1 + Math.tanh(Math.sqrt(2 / Math.PI) * (x + 0.044715 * x * x * x)));

const saturate = (x: number, low: number, high: number): number =>
  Number.isNaN(x) ? 0 : Math.min(Math.max(Math.trunc(x), low), high);

const comparisons = {
  eq: (a: number, b: number) => bit(a === b),
  ne: (a: number, b: number) => bit(a !== b),
  lt: (a: number, b: number) => bit(a < b),
  le: (a: number, b: number) => bit(a <= b),
  gt: (a: number, b: number) => bit(a > b),
  ge: (a: number, b: number) => bit(a >= b),
};

export const scalarFunctions: Readonly<Record<TileOpcode, ScalarFunction>> = {
  add_f32: (a, b) => a + b,
  sub_f32: (a, b) => a - b,
  mul_f32: (a, b) => a * b,
  div_f32: (a, b) => a / b,
  mod_f32: floatMod,
  pow_f32: (a, b) => a ** b,
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
  round_f32: roundEven,
  trunc_f32: Math.trunc,
  silu_f32: (a) => a * sigmoid(a),
  gelu_tanh_f32: geluTanh,
  gelu_erf_f32: (a) => 0.5 * a * (1 + erf(a * Math.SQRT1_2)),
  isnan_f32: (a) => bit(Number.isNaN(a)),
  eq_f32: comparisons.eq,
  ne_f32: comparisons.ne,
  lt_f32: comparisons.lt,
  le_f32: comparisons.le,
  gt_f32: comparisons.gt,
  ge_f32: comparisons.ge,
  add_i32: (a, b) => a + b,
  sub_i32: (a, b) => a - b,
  mul_i32: Math.imul,
  div_i32: floorDiv,
  mod_i32: floorMod,
  min_i32: (a, b) => Math.min(a, b),
  max_i32: (a, b) => Math.max(a, b),
  neg_i32: (a) => -a,
  abs_i32: Math.abs,
  sign_i32: Math.sign,
  and_i32: (a, b) => a & b,
  or_i32: (a, b) => a | b,
  xor_i32: (a, b) => a ^ b,
  not_i32: (a) => ~a,
  shl_i32: (a, b) => a << shift(b),
  shr_i32: (a, b) => a >> shift(b),
  eq_i32: comparisons.eq,
  ne_i32: comparisons.ne,
  lt_i32: comparisons.lt,
  le_i32: comparisons.le,
  gt_i32: comparisons.gt,
  ge_i32: comparisons.ge,
  add_u32: (a, b) => a + b,
  sub_u32: (a, b) => a - b,
  mul_u32: Math.imul,
  div_u32: floorDiv,
  mod_u32: floorMod,
  min_u32: (a, b) => Math.min(a, b),
  max_u32: (a, b) => Math.max(a, b),
  and_u32: (a, b) => a & b,
  or_u32: (a, b) => a | b,
  xor_u32: (a, b) => a ^ b,
  not_u32: (a) => ~a,
  shl_u32: (a, b) => a << shift(b),
  shr_u32: (a, b) => a >>> shift(b),
  eq_u32: comparisons.eq,
  ne_u32: comparisons.ne,
  lt_u32: comparisons.lt,
  le_u32: comparisons.le,
  gt_u32: comparisons.gt,
  ge_u32: comparisons.ge,
  and_bool: (a, b) => a & b,
  or_bool: (a, b) => a | b,
  xor_bool: (a, b) => a ^ b,
  not_bool: (a) => 1 - a,
  eq_bool: comparisons.eq,
  ne_bool: comparisons.ne,
  select: (a, b, c) => (a !== 0 ? b : c),
  f32_to_i32: (a) => saturate(a, -(2 ** 31), 2 ** 31 - 1),
  f32_to_u32: (a) => saturate(a, 0, 2 ** 32 - 1),
  f32_to_bool: (a) => bit(a !== 0),
  i32_to_f32: (a) => a,
  i32_to_u32: (a) => a,
  i32_to_bool: (a) => bit(a !== 0),
  u32_to_f32: (a) => a,
  u32_to_i32: (a) => a,
  u32_to_bool: (a) => bit(a !== 0),
  bool_to_f32: (a) => a,
  bool_to_i32: (a) => a,
  bool_to_u32: (a) => a,
};

/** Rounds a number to what a register of this kind holds. */
export function toRegister(kind: RegisterKind, x: number): number {
  switch (kind) {
    case 'f32':
      return Math.fround(x);
    case 'i32':
      return x | 0;
    case 'u32':
      return x >>> 0;
    case 'bool':
      return x;
  }
}
