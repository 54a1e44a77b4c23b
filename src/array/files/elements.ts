// Elements of arrays as the bytes that files hold: little endian, row-major.

import { bytesPerElement, type DType, type TypedArray } from '../../base/dtype.ts';
import { FileFormatError } from '../../base/errors.ts';
import { f32ToBf16, f32ToF16 } from '../../quant/half.ts';
import type { NDArray } from '../array.ts';
import { fromData } from '../creation.ts';
import { typedView } from '../ops/operands.ts';

/** Types of elements in files: those of arrays, f64 that becomes f32, and integers that become i32 or u32. */
export type Numbers = DType | 'f64' | 'i64' | 'u64' | 'i16' | 'u16';

/** Bytes of an element in a file. */
export const storedSize = (type: Numbers): number => {
  if (type === 'f64' || type === 'i64' || type === 'u64') return 8;
  return type === 'i16' || type === 'u16' ? 2 : bytesPerElement(type);
};

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

/** An array of elements as a file has them. Throws bad_file for a 64-bit integer that 32 bits do not hold. */
export function arrayOf({ bytes, type, shape, what }: StoredElements): NDArray {
  const own = new Uint8Array(bytes); // a copy, also of a Buffer: typed views need an aligned start
  if (type === 'f64') return fromData(Float32Array.from(new Float64Array(own.buffer)), shape);
  if (type === 'i16') return fromData(Int32Array.from(new Int16Array(own.buffer)), shape);
  if (type === 'u16') return fromData(Uint32Array.from(new Uint16Array(own.buffer)), shape);
  if (type === 'i64' || type === 'u64') {
    const wide = type === 'i64' ? new BigInt64Array(own.buffer) : new BigUint64Array(own.buffer);
    const narrow = type === 'i64' ? Int32Array.from(wide, Number) : Uint32Array.from(wide, Number);
    const lost = wide.findIndex((v: bigint, i: number) => v !== BigInt(narrow[i] as number));
    if (lost < 0) return fromData(narrow, shape);
    const holds = type === 'i64' ? 'i32' : 'u32';
    throw new FileFormatError(what, `element ${lost}`, `is ${wide[lost]}, which ${holds} does not hold`);
  }
  return fromData(typedView(type, own), shape, { dtype: type });
}
