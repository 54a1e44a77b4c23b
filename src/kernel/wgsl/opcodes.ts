// Tile instructions in WGSL: one expression per opcode over operands that are names, for values of one element or of four
// (math.ts). What they mean is src/kernel/scalar-functions.ts.

import type { TileOpcode } from '../tile-opcodes.ts';

type Expression = (a: string, b: string, c: string) => string;

const call =
  (name: string): Expression =>
  (a) =>
    `${name}(${a})`;
const call2 =
  (name: string): Expression =>
  (a, b) =>
    `${name}(${a}, ${b})`;
const infix =
  (operator: string): Expression =>
  (a, b) =>
    `${a} ${operator} ${b}`;
const shift =
  (operator: string): Expression =>
  (a, b) =>
    `${a} ${operator} (U(${b}) & U(31u))`;
const to =
  (type: string): Expression =>
  (a) =>
    `${type}(${a})`;
const fromBool =
  (type: string): Expression =>
  (a) =>
    `select(${type}(0), ${type}(1), ${a})`;
const nonzero =
  (type: string): Expression =>
  (a) =>
    `${a} != ${type}(0)`;

export const wgslOpcodes: Readonly<Record<TileOpcode, Expression>> = {
  add_f32: infix('+'),
  sub_f32: infix('-'),
  mul_f32: infix('*'),
  div_f32: infix('/'),
  mod_f32: call2('mod_f32'),
  pow_f32: call2('pow_f32'),
  min_f32: call2('min_f32'),
  max_f32: call2('max_f32'),
  neg_f32: (a) => `-${a}`,
  abs_f32: call('abs'),
  sign_f32: (a) => `select(sign(${a}), ${a}, is_nan(${a}))`,
  square_f32: (a) => `${a} * ${a}`,
  sqrt_f32: call('sqrt'),
  rsqrt_f32: call('inverseSqrt'),
  reciprocal_f32: (a) => `F(1.0) / ${a}`,
  exp_f32: call('exp_f32'),
  expm1_f32: call('expm1_f32'),
  log_f32: call('log_f32'),
  log1p_f32: call('log1p_f32'),
  sin_f32: call('sin_f32'),
  cos_f32: call('cos_f32'),
  tan_f32: call('tan_f32'),
  tanh_f32: call('tanh_f32'),
  sigmoid_f32: call('sigmoid_f32'),
  erf_f32: call('erf_f32'),
  floor_f32: call('floor'),
  ceil_f32: call('ceil'),
  round_f32: call('round'),
  trunc_f32: call('trunc'),
  silu_f32: call('silu_f32'),
  gelu_tanh_f32: call('gelu_tanh_f32'),
  gelu_erf_f32: call('gelu_erf_f32'),
  isnan_f32: call('is_nan'),
  eq_f32: infix('=='),
  ne_f32: (a, b) => `(${a} != ${b}) | is_nan(${a}) | is_nan(${b})`,
  lt_f32: infix('<'),
  le_f32: infix('<='),
  gt_f32: infix('>'),
  ge_f32: infix('>='),
  add_i32: infix('+'),
  sub_i32: infix('-'),
  mul_i32: infix('*'),
  div_i32: call2('div_i32'),
  mod_i32: call2('mod_i32'),
  min_i32: call2('min'),
  max_i32: call2('max'),
  neg_i32: (a) => `-${a}`,
  abs_i32: call('abs'),
  sign_i32: call('sign'),
  and_i32: infix('&'),
  or_i32: infix('|'),
  xor_i32: infix('^'),
  not_i32: (a) => `~${a}`,
  shl_i32: shift('<<'),
  shr_i32: shift('>>'),
  eq_i32: infix('=='),
  ne_i32: infix('!='),
  lt_i32: infix('<'),
  le_i32: infix('<='),
  gt_i32: infix('>'),
  ge_i32: infix('>='),
  add_u32: infix('+'),
  sub_u32: infix('-'),
  mul_u32: infix('*'),
  div_u32: call2('div_u32'),
  mod_u32: call2('mod_u32'),
  min_u32: call2('min'),
  max_u32: call2('max'),
  and_u32: infix('&'),
  or_u32: infix('|'),
  xor_u32: infix('^'),
  not_u32: (a) => `~${a}`,
  shl_u32: shift('<<'),
  shr_u32: shift('>>'),
  eq_u32: infix('=='),
  ne_u32: infix('!='),
  lt_u32: infix('<'),
  le_u32: infix('<='),
  gt_u32: infix('>'),
  ge_u32: infix('>='),
  and_bool: infix('&'),
  or_bool: infix('|'),
  xor_bool: infix('!='),
  not_bool: (a) => `!${a}`,
  eq_bool: infix('=='),
  ne_bool: infix('!='),
  select: (a, b, c) => `select(${c}, ${b}, ${a})`,
  f32_to_i32: call('f32_to_i32'),
  f32_to_u32: call('f32_to_u32'),
  f32_to_bool: (a) => `(${a} != F(0)) | is_nan(${a})`,
  i32_to_f32: to('F'),
  i32_to_u32: to('U'),
  i32_to_bool: nonzero('I'),
  u32_to_f32: to('F'),
  u32_to_i32: to('I'),
  u32_to_bool: nonzero('U'),
  bool_to_f32: fromBool('F'),
  bool_to_i32: fromBool('I'),
  bool_to_u32: fromBool('U'),
  pow_i32: call2('pow_i32'),
  pow_u32: call2('pow_u32'),
};
