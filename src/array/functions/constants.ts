// Numbers with names, and what dtypes hold.

import { type DType, type FloatDType, isFloat } from '../../base/dtype.ts';
import { IngotError } from '../../base/errors.ts';

export const pi = Math.PI;
export const e = Math.E;
export const eulerGamma = 0.5772156649015329;
export const inf = Number.POSITIVE_INFINITY;
export const nan = Number.NaN;
/** A new axis of size 1 among the indices of `slice`. */
export const newaxis = 'newaxis' as const;

export interface FloatInfo {
  readonly dtype: FloatDType;
  readonly bits: number;
  readonly min: number;
  readonly max: number;
  /** Distance from 1 to the next number. */
  readonly eps: number;
  /** Smallest positive number that is not subnormal. */
  readonly smallestNormal: number;
}

const floats: Readonly<
  Record<FloatDType, readonly [bits: number, max: number, eps: number, smallest: number]>
> = {
  f32: [32, 3.4028234663852886e38, 2 ** -23, 2 ** -126],
  f16: [16, 65504, 2 ** -10, 2 ** -14],
  bf16: [16, 3.3895313892515355e38, 2 ** -7, 2 ** -126],
};

/** What a float dtype holds. Throws invalid_argument for integers. */
export function finfo(dtype: DType): FloatInfo {
  if (!isFloat(dtype)) throw new IngotError('invalid_argument', `finfo: ${dtype} is no float; see iinfo`);
  const [bits, max, eps, smallestNormal] = floats[dtype as FloatDType];
  return { dtype: dtype as FloatDType, bits, min: -max, max, eps, smallestNormal };
}

export interface IntegerInfo {
  readonly dtype: DType;
  readonly bits: number;
  readonly min: number;
  readonly max: number;
}

/** What an integer dtype holds. Throws invalid_argument for floats and bool. */
export function iinfo(dtype: DType): IntegerInfo {
  if (isFloat(dtype) || dtype === 'bool') {
    throw new IngotError('invalid_argument', `iinfo: ${dtype} is no integer dtype`);
  }
  const bits = dtype.endsWith('8') ? 8 : 32;
  const signed = dtype.startsWith('i');
  return {
    dtype,
    bits,
    min: signed ? -(2 ** (bits - 1)) : 0,
    max: 2 ** (signed ? bits - 1 : bits) - 1,
  };
}
