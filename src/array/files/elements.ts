// Elements of arrays as the bytes that files hold: little endian, row-major.

import type { DType, TypedArray } from '../../base/dtype.ts';
import { FileFormatError } from '../../base/errors.ts';
import { f32ToBf16, f32ToF16 } from '../../quant/half.ts';
import type { NDArray } from '../array.ts';
import { fromData } from '../creation.ts';
import { typedView } from '../ops/operands.ts';

/** Types of elements in files: those of arrays, and two that become f32 and i32. */
export type Numbers = DType | 'f64' | 'i64';

/** The bytes of an array's elements, as it stores them. */
export async function storedBytes(x: NDArray): Promise<Uint8Array> {
  const data = await x.data();
  const stored: TypedArray =
    x.dtype === 'f16'
      ? Uint16Array.from(data, f32ToF16)
      : x.dtype === 'bf16'
        ? Uint16Array.from(data, f32ToBf16)
        : data;
  return new Uint8Array(stored.buffer, stored.byteOffset, stored.byteLength);
}

export interface StoredElements {
  readonly bytes: Uint8Array;
  readonly type: Numbers;
  readonly shape: readonly number[];
  /** Names the array in errors. */
  readonly what: string;
}

/** An array of elements as a file has them. Throws bad_file for an i64 that i32 does not hold. */
export function arrayOf({ bytes, type, shape, what }: StoredElements): NDArray {
  const own = bytes.slice(); // typed views need an aligned start
  if (type === 'f64') return fromData(Float32Array.from(new Float64Array(own.buffer)), shape);
  if (type === 'i64') {
    const wide = new BigInt64Array(own.buffer);
    const narrow = Int32Array.from(wide, Number);
    const lost = wide.findIndex((v, i) => v !== BigInt(narrow[i] as number));
    if (lost < 0) return fromData(narrow, shape);
    throw new FileFormatError(what, `element ${lost}`, `is ${wide[lost]}, which i32 does not hold`);
  }
  return fromData(typedView(type, own), shape, { dtype: type });
}
