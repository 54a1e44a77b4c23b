// The instructions of tile programs: the only list. The native enum (native/build/tile_opcodes.h) is generated from the
// rows below by tools/gen-tile-opcodes.mjs, which reads them line by line: one `[name, operands, result]` per line.

/** What the 32 bits of a register mean. A bool is 0 or 1. */
export type RegisterKind = 'f32' | 'i32' | 'u32' | 'bool';

/**
 * Name, operand kinds, result kind; the code of an instruction is its row number. `any` marks operands and results of one
 * common kind. Semantics that differ between languages are NumPy's: `div` and `mod` of integers round toward minus
 * infinity and give 0 for a zero divisor, `mod` takes the sign of the divisor, min and max propagate NaN, `round`
 * goes to even. Powers of integers wrap; a negative exponent gives 0 unless the base is 1 or -1. Shift counts are taken modulo 32. Float to integer truncates and saturates, NaN becomes 0.
 */
export const tileOpcodes = [
  ['add_f32', 'f32 f32', 'f32'],
  ['sub_f32', 'f32 f32', 'f32'],
  ['mul_f32', 'f32 f32', 'f32'],
  ['div_f32', 'f32 f32', 'f32'],
  ['mod_f32', 'f32 f32', 'f32'],
  ['pow_f32', 'f32 f32', 'f32'],
  ['min_f32', 'f32 f32', 'f32'],
  ['max_f32', 'f32 f32', 'f32'],
  ['neg_f32', 'f32', 'f32'],
  ['abs_f32', 'f32', 'f32'],
  ['sign_f32', 'f32', 'f32'],
  ['square_f32', 'f32', 'f32'],
  ['sqrt_f32', 'f32', 'f32'],
  ['rsqrt_f32', 'f32', 'f32'],
  ['reciprocal_f32', 'f32', 'f32'],
  ['exp_f32', 'f32', 'f32'],
  ['expm1_f32', 'f32', 'f32'],
  ['log_f32', 'f32', 'f32'],
  ['log1p_f32', 'f32', 'f32'],
  ['sin_f32', 'f32', 'f32'],
  ['cos_f32', 'f32', 'f32'],
  ['tan_f32', 'f32', 'f32'],
  ['tanh_f32', 'f32', 'f32'],
  ['sigmoid_f32', 'f32', 'f32'],
  ['erf_f32', 'f32', 'f32'],
  ['floor_f32', 'f32', 'f32'],
  ['ceil_f32', 'f32', 'f32'],
  ['round_f32', 'f32', 'f32'],
  ['trunc_f32', 'f32', 'f32'],
  ['silu_f32', 'f32', 'f32'],
  ['gelu_tanh_f32', 'f32', 'f32'],
  ['gelu_erf_f32', 'f32', 'f32'],
  ['isnan_f32', 'f32', 'bool'],
  ['eq_f32', 'f32 f32', 'bool'],
  ['ne_f32', 'f32 f32', 'bool'],
  ['lt_f32', 'f32 f32', 'bool'],
  ['le_f32', 'f32 f32', 'bool'],
  ['gt_f32', 'f32 f32', 'bool'],
  ['ge_f32', 'f32 f32', 'bool'],
  ['add_i32', 'i32 i32', 'i32'],
  ['sub_i32', 'i32 i32', 'i32'],
  ['mul_i32', 'i32 i32', 'i32'],
  ['div_i32', 'i32 i32', 'i32'],
  ['mod_i32', 'i32 i32', 'i32'],
  ['min_i32', 'i32 i32', 'i32'],
  ['max_i32', 'i32 i32', 'i32'],
  ['neg_i32', 'i32', 'i32'],
  ['abs_i32', 'i32', 'i32'],
  ['sign_i32', 'i32', 'i32'],
  ['and_i32', 'i32 i32', 'i32'],
  ['or_i32', 'i32 i32', 'i32'],
  ['xor_i32', 'i32 i32', 'i32'],
  ['not_i32', 'i32', 'i32'],
  ['shl_i32', 'i32 i32', 'i32'],
  ['shr_i32', 'i32 i32', 'i32'],
  ['eq_i32', 'i32 i32', 'bool'],
  ['ne_i32', 'i32 i32', 'bool'],
  ['lt_i32', 'i32 i32', 'bool'],
  ['le_i32', 'i32 i32', 'bool'],
  ['gt_i32', 'i32 i32', 'bool'],
  ['ge_i32', 'i32 i32', 'bool'],
  ['add_u32', 'u32 u32', 'u32'],
  ['sub_u32', 'u32 u32', 'u32'],
  ['mul_u32', 'u32 u32', 'u32'],
  ['div_u32', 'u32 u32', 'u32'],
  ['mod_u32', 'u32 u32', 'u32'],
  ['min_u32', 'u32 u32', 'u32'],
  ['max_u32', 'u32 u32', 'u32'],
  ['and_u32', 'u32 u32', 'u32'],
  ['or_u32', 'u32 u32', 'u32'],
  ['xor_u32', 'u32 u32', 'u32'],
  ['not_u32', 'u32', 'u32'],
  ['shl_u32', 'u32 u32', 'u32'],
  ['shr_u32', 'u32 u32', 'u32'],
  ['eq_u32', 'u32 u32', 'bool'],
  ['ne_u32', 'u32 u32', 'bool'],
  ['lt_u32', 'u32 u32', 'bool'],
  ['le_u32', 'u32 u32', 'bool'],
  ['gt_u32', 'u32 u32', 'bool'],
  ['ge_u32', 'u32 u32', 'bool'],
  ['and_bool', 'bool bool', 'bool'],
  ['or_bool', 'bool bool', 'bool'],
  ['xor_bool', 'bool bool', 'bool'],
  ['not_bool', 'bool', 'bool'],
  ['eq_bool', 'bool bool', 'bool'],
  ['ne_bool', 'bool bool', 'bool'],
  ['select', 'bool any any', 'any'],
  ['f32_to_i32', 'f32', 'i32'],
  ['f32_to_u32', 'f32', 'u32'],
  ['f32_to_bool', 'f32', 'bool'],
  ['i32_to_f32', 'i32', 'f32'],
  ['i32_to_u32', 'i32', 'u32'],
  ['i32_to_bool', 'i32', 'bool'],
  ['u32_to_f32', 'u32', 'f32'],
  ['u32_to_i32', 'u32', 'i32'],
  ['u32_to_bool', 'u32', 'bool'],
  ['bool_to_f32', 'bool', 'f32'],
  ['bool_to_i32', 'bool', 'i32'],
  ['bool_to_u32', 'bool', 'u32'],
  ['pow_i32', 'i32 i32', 'i32'],
  ['pow_u32', 'u32 u32', 'u32'],
] as const;

export type TileOpcode = (typeof tileOpcodes)[number][0];

/** Signature of one instruction. */
export interface OpcodeInfo {
  readonly name: TileOpcode;
  readonly code: number;
  readonly arity: 1 | 2 | 3;
  readonly operands: readonly (RegisterKind | 'any')[];
  readonly result: RegisterKind | 'any';
}

const infos: readonly OpcodeInfo[] = tileOpcodes.map(([name, operands, result], code) => {
  const kinds = operands.split(' ') as (RegisterKind | 'any')[];
  return { name, code, arity: kinds.length as 1 | 2 | 3, operands: kinds, result };
});
const byName: ReadonlyMap<string, OpcodeInfo> = new Map(infos.map((info) => [info.name, info]));

/** The instruction called `name`, or undefined. */
export const findOpcode = (name: string): OpcodeInfo | undefined => byName.get(name);

/** The instruction with this code, or undefined. */
export const opcodeByCode = (code: number): OpcodeInfo | undefined => infos[code];
