// Element types of arrays. bf16 and f16 are stored as their 16 bits in a Uint16Array.

import { IngotError } from './errors.ts';

export const dtypes = ['f32', 'f16', 'bf16', 'i32', 'u32', 'i8', 'u8', 'bool'] as const;
export type DType = (typeof dtypes)[number];

/** Throws invalid_argument for what is no dtype. */
export function checkDtype(dtype: DType, what: string): void {
  if (dtypes.includes(dtype)) return;
  throw new IngotError('invalid_argument', `${what}: ${String(dtype)} is none of ${dtypes.join(', ')}`);
}

export type TypedArray = Float32Array | Int32Array | Uint32Array | Int8Array | Uint8Array | Uint16Array;

const bytes: Readonly<Record<DType, number>> = {
  f32: 4,
  f16: 2,
  bf16: 2,
  i32: 4,
  u32: 4,
  i8: 1,
  u8: 1,
  bool: 1,
};

/** Bytes of one element. */
export const bytesPerElement = (dtype: DType): number => bytes[dtype];

export type FloatDType = 'f32' | 'f16' | 'bf16';

export const isFloat = (dtype: DType): dtype is FloatDType =>
  dtype === 'f32' || dtype === 'f16' || dtype === 'bf16';

/** True for dtypes without negative numbers. */
export const isUnsigned = (dtype: DType): boolean => dtype === 'u32' || dtype === 'u8' || dtype === 'bool';

/** Relative rounding error of the storage type (unit roundoff); 0 for integers. */
export const epsilon = (dtype: DType): number =>
  dtype === 'f32' ? 2 ** -24 : dtype === 'f16' ? 2 ** -11 : dtype === 'bf16' ? 2 ** -8 : 0;
