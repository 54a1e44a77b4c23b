// Elements of every dtype in storage buffers: types of bindings, and how an element or four neighbours are read and written.
// What is narrower than 32 bits lives in words; whoever writes a word writes all of it.

import type { DType } from '../../base/dtype.ts';
import { bf16Rounding, f16Rounding, halfFunctions } from './common.ts';
import type { GpuBinding, KernelRequest } from './contract.ts';
import type { Functions } from './math.ts';

/** Elements in a word. */
export const perWord = (dtype: DType): 1 | 2 | 4 => {
  if (dtype === 'f16' || dtype === 'bf16') return 2;
  return dtype === 'i8' || dtype === 'u8' || dtype === 'bool' ? 4 : 1;
};

/** The type of a binding that is read and written by fours. */
export function quadArray(dtype: DType): string {
  const words = 4 / perWord(dtype);
  const scalar = words < 4 ? 'u32' : dtype;
  return words === 1 ? 'array<u32>' : `array<vec${words}<${scalar}>>`;
}

/** The type of a binding that is read by elements and written by words. */
export const elementArray = (dtype: DType): string => `array<${perWord(dtype) === 1 ? dtype : 'u32'}>`;

/** Elements 4i … 4i+3 of a binding of `quadArray`, as a vec4 of the register kind. */
export function loadQuad(dtype: DType, array: string, i: string): string {
  return perWord(dtype) === 1 ? `${array}[${i}]` : `${dtype}_quad(${array}[${i}])`;
}

/** Element i of a binding of `elementArray`, as a register. `i` is a name. */
export function loadElement(dtype: DType, array: string, i: string): string {
  const per = perWord(dtype);
  return per === 1 ? `${array}[${i}]` : `${dtype}_at(${array}[${i} >> ${per === 2 ? 1 : 2}u], ${i})`;
}

/** The stored form of four registers: what `loadQuad` reads. */
export function packQuad(dtype: DType, value: string): string {
  return perWord(dtype) === 1 ? value : `${dtype}_packed(${value})`;
}

/** The word that holds the registers a, b, … : as many as `perWord`. */
export const packWord = (dtype: DType, values: readonly string[]): string =>
  perWord(dtype) === 1 ? (values[0] ?? '') : `${dtype}_word(${values.join(', ')})`;

const integers = (dtype: 'i8' | 'u8'): Functions => {
  const kind = dtype === 'i8' ? 'i32' : 'u32';
  return {
    [`${dtype}_quad`]: `fn ${dtype}_quad(word: u32) -> vec4<${kind}> {
  return (vec4<${kind}>(bitcast<${kind}>(word)) << vec4<u32>(24u, 16u, 8u, 0u)) >> vec4<u32>(24u);
}`,
    [`${dtype}_at`]: `fn ${dtype}_at(word: u32, i: u32) -> ${kind} { return extractBits(bitcast<${kind}>(word), (i & 3u) * 8u, 8u); }`,
    [`${dtype}_word`]: `fn ${dtype}_word(a: ${kind}, b: ${kind}, c: ${kind}, d: ${kind}) -> u32 { return ${dtype}_packed(vec4<${kind}>(a, b, c, d)); }`,
    [`${dtype}_packed`]: `fn ${dtype}_packed(v: vec4<${kind}>) -> u32 {
  let b = bitcast<vec4<u32>>(v) & vec4<u32>(0xffu);
  return b.x | (b.y << 8u) | (b.z << 16u) | (b.w << 24u);
}`,
  };
};

const halves = (dtype: 'f16' | 'bf16'): Functions => ({
  [`${dtype}_quad`]: `fn ${dtype}_quad(w: vec2<u32>) -> vec4<f32> {
  return vec4<f32>(${dtype}_at(w.x, 0u), ${dtype}_at(w.x, 1u), ${dtype}_at(w.y, 0u), ${dtype}_at(w.y, 1u));
}`,
  [`${dtype}_packed`]: `fn ${dtype}_packed(v: vec4<f32>) -> vec2<u32> {
  return vec2<u32>(${dtype}_word(v.x, v.y), ${dtype}_word(v.z, v.w));
}`,
  [`${dtype}_word`]: `fn ${dtype}_word(a: f32, b: f32) -> u32 { return ${dtype}_bits(a) | (${dtype}_bits(b) << 16u); }`,
});

const bools: Functions = {
  bool_quad: `fn bool_quad(word: u32) -> vec4<bool> {
  return (vec4<u32>(word) & vec4<u32>(0xffu, 0xff00u, 0xff0000u, 0xff000000u)) != vec4<u32>(0u);
}`,
  bool_at: 'fn bool_at(word: u32, i: u32) -> bool { return extractBits(word, (i & 3u) * 8u, 8u) != 0u; }',
  bool_word:
    'fn bool_word(a: bool, b: bool, c: bool, d: bool) -> u32 { return bool_packed(vec4<bool>(a, b, c, d)); }',
  bool_packed: `fn bool_packed(v: vec4<bool>) -> u32 {
  return dot(select(vec4<u32>(0u), vec4<u32>(1u), v), vec4<u32>(0x1u, 0x100u, 0x10000u, 0x1000000u));
}`,
};

/** The functions that the expressions above call. */
export const storageFunctions: Functions = {
  'f16_at|bf16_at': halfFunctions,
  f16_bits: f16Rounding,
  bf16_bits: bf16Rounding,
  ...halves('f16'),
  ...halves('bf16'),
  ...integers('i8'),
  ...integers('u8'),
  ...bools,
};

/** The type of an element of 4, 8 or 16 bytes that is only moved. */
export const wideType = (bytes: number): string => (bytes === 4 ? 'u32' : `vec${bytes / 4}<u32>`);

/** A buffer of the dispatch as an array of elements of 4, 8 or 16 bytes, the last one whole. */
export const wideBinding = (
  { bytes }: KernelRequest,
  buffer: number,
  name: string,
  width: number,
  access: GpuBinding['access'],
): GpuBinding => ({
  buffer,
  name,
  type: `array<${wideType(width)}>`,
  access,
  window: { offset: 0, byteLength: Math.ceil((bytes[buffer] ?? 0) / width) * width },
});
