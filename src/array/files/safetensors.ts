// Arrays by name as the bytes of a safetensors file, and back: https://github.com/huggingface/safetensors#format

import type { DType } from '../../base/dtype.ts';
import { FileFormatError } from '../../base/errors.ts';
import type { NDArray } from '../array.ts';
import { arrayOf, type Numbers, storedBytes, storedSize } from './elements.ts';

const dtypes: Readonly<Record<string, Numbers>> = {
  F32: 'f32',
  F16: 'f16',
  BF16: 'bf16',
  I32: 'i32',
  U32: 'u32',
  I8: 'i8',
  U8: 'u8',
  BOOL: 'bool',
  F64: 'f64',
  I64: 'i64',
  U64: 'u64',
  I16: 'i16',
  U16: 'u16',
};
const codeOf = (dtype: DType): string => Object.keys(dtypes).find((k) => dtypes[k] === dtype) as string;

/** The file that holds these arrays. `metadata` are texts in its header. */
export async function toSafetensors(
  arrays: Readonly<Record<string, NDArray>>,
  metadata: Readonly<Record<string, string>> = {},
): Promise<Uint8Array> {
  const header: Record<string, unknown> = { __metadata__: { format: 'pt', ...metadata } };
  const pieces: Uint8Array[] = [];
  let at = 0;
  for (const [name, x] of Object.entries(arrays)) {
    const bytes = await storedBytes(x);
    header[name] = { dtype: codeOf(x.dtype), shape: x.shape, data_offsets: [at, at + bytes.byteLength] };
    pieces.push(bytes);
    at += bytes.byteLength;
  }
  const json = new TextEncoder().encode(JSON.stringify(header));
  const length = Math.ceil(json.byteLength / 8) * 8;
  const file = new Uint8Array(8 + length + at).fill(0x20, 8, 8 + length);
  new DataView(file.buffer).setBigUint64(0, BigInt(length), true);
  file.set(json, 8);
  let to = 8 + length;
  for (const piece of pieces) {
    file.set(piece, to);
    to += piece.byteLength;
  }
  return file;
}

/**
 * The arrays of a file, by name. F64 becomes f32, I64 and I16 i32, U64 and U16 u32. Throws bad_file for other bytes, for types that arrays do not have, and for
 * integers that i32 does not hold.
 */
export function fromSafetensors(bytes: Uint8Array, name = 'safetensors'): Record<string, NDArray> {
  const fail = (field: string, problem: string): never => {
    throw new FileFormatError(name, field, problem);
  };
  if (bytes.byteLength < 8) fail('header length', `the file has only ${bytes.byteLength} bytes`);
  const length = Number(new DataView(bytes.buffer, bytes.byteOffset, 8).getBigUint64(0, true));
  if (length > bytes.byteLength - 8)
    fail('header length', `is ${length}, but the file has ${bytes.byteLength} bytes`);
  const body = bytes.subarray(8 + length);
  const arrays: [string, NDArray][] = [];
  for (const [key, entry] of Object.entries(headerOf(bytes.subarray(8, 8 + length), fail))) {
    if (key === '__metadata__') continue;
    const field = `tensor ${JSON.stringify(key.slice(0, 100))}`;
    const { dtype, shape, data_offsets: offsets } = (entry ?? {}) as Record<string, unknown>;
    const type =
      dtypes[String(dtype)] ??
      fail(field, `has the dtype ${JSON.stringify(dtype)}; arrays have ${Object.keys(dtypes).join(', ')}`);
    const sizes = sizesOf(shape) ?? fail(field, `has the shape ${JSON.stringify(shape)?.slice(0, 60)}`);
    const [begin = -1, end = -1] = sizesOf(offsets) ?? [];
    const width = storedSize(type);
    const needed = sizes.reduce((p, d) => p * d, width);
    if (begin < 0 || end - begin !== needed || end > body.byteLength) {
      fail(
        field,
        `has data from ${begin} to ${end} of ${body.byteLength} bytes, ${type}[${sizes}] needs ${needed}`,
      );
    }
    arrays.push([
      key,
      arrayOf({ bytes: body.subarray(begin, end), type, shape: sizes, what: `${name}: ${field}` }),
    ]);
  }
  return Object.fromEntries(arrays);
}

function headerOf(
  text: Uint8Array,
  fail: (field: string, problem: string) => never,
): Record<string, unknown> {
  let header: unknown;
  try {
    header = JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(text));
  } catch {
    return fail('header', 'is not JSON');
  }
  if (typeof header !== 'object' || header === null || Array.isArray(header))
    return fail('header', 'is not a JSON object');
  return header as Record<string, unknown>;
}

const sizesOf = (x: unknown): readonly number[] | undefined =>
  Array.isArray(x) && x.every((d) => Number.isSafeInteger(d) && d >= 0) ? (x as number[]) : undefined;
