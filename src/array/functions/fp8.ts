// 8-bit floats (e4m3: 4 bits of exponent, 3 of mantissa, no infinity) as u8, as in https://arxiv.org/abs/2209.05433.

import type { FloatDType } from '../../base/dtype.ts';
import { type Given, named } from '../arguments.ts';
import type { NDArray } from '../array.ts';
import { where } from '../ops/elementwise/where.ts';
import { view } from '../ops/shape/view.ts';
import { toFloats } from './terms.ts';

/** Bits of the nearest 8-bit floats, halves to even; above 448 the largest one. */
export function toFp8(x: NDArray): NDArray {
  const a = toFloats(x).cast('f32');
  const bits = view(a, 'u32');
  const sign = bits.rightShift(24).bitwiseAnd(0x80);
  const size = a.abs().minimum(448);
  const small = size.mul(512).round().cast('u32'); // below 2^-6 steps are of 2^-9
  const whole = view(size, 'u32');
  const even = whole.rightShift(20).bitwiseAnd(1);
  const rounded = whole.add(even).add(0x7ffff).rightShift(20);
  const codes = where(size.lt(2 ** -6), small, rounded.sub(120 * 8));
  return where(a.isnan(), 0x7f, codes).bitwiseOr(sign).cast('u8');
}

/** The numbers of 8-bit floats. */
export function fromFp8(
  x: NDArray,
  ...given: Given<[dtype: FloatDType], { readonly dtype?: FloatDType }>
): NDArray {
  const { dtype = 'bf16' } = named<{ dtype?: FloatDType }>('fromFp8', ['dtype'], given);
  const code = x.cast('u32');
  const size = code.bitwiseAnd(0x7f);
  const small = size.cast('f32').mul(2 ** -9);
  const large = view(size.leftShift(20).add(120 * 2 ** 23), 'f32');
  const value = where(size.eq(0x7f), Number.NaN, where(size.lt(8), small, large));
  return where(code.ge(0x80), value.neg(), value).cast(dtype);
}
