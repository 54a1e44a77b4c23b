// What the ways to quantise among safetensors have in common: a scheme says which tensors an entry of a file stands for.

import { FileFormatError } from '../../base/errors.ts';
import { readU16, readU32, writeU16, writeU32 } from '../../quant/format.ts';
import { bitsToFloat, floatToBits } from '../../quant/half.ts';
import type { MetaDtype } from '../../quant/layout.ts';
import type { CheckpointTensor } from '../tensor.ts';
import type { SafetensorsEntry } from './reader.ts';

export type Entries = ReadonlyMap<string, SafetensorsEntry>;

/**
 * The tensors an entry stands for under its own or canonical names, or why it cannot be used; an empty list for what belongs to
 * another entry; undefined for what the scheme has nothing to do with.
 */
export type Scheme = (
  entry: SafetensorsEntry,
  entries: Entries,
) => readonly CheckpointTensor[] | string | undefined;

/** Types that scales are stored in, by the dtype of the file. */
export const scaleTypes: Readonly<Record<string, 'f32' | 'f16' | 'bf16'>> = {
  F32: 'f32',
  F16: 'f16',
  BF16: 'bf16',
};

/** The largest group that layouts have and that divides all of these numbers of columns; undefined when none does. */
export const groupFor = (...columns: readonly number[]): 32 | 64 | 128 | undefined =>
  ([128, 64, 32] as const).find((group) => columns.every((count) => count > 0 && count % group === 0));

/** Throws FileFormatError that names the tensor. */
export function badEntry(entry: SafetensorsEntry, problem: string): never {
  throw new FileFormatError(entry.source.name, `tensor ${JSON.stringify(entry.name.slice(0, 100))}`, problem);
}

/** Throws FileFormatError unless an entry has this shape. */
export function needShape(entry: SafetensorsEntry, expected: readonly number[], why: string): void {
  const { shape } = entry;
  if (shape.length === expected.length && shape.every((d, i) => d === expected[i])) return;
  badEntry(entry, `must be [${expected.join(', ')}] ${why}, found [${shape.join(', ')}]`);
}

export const readAll = (entry: SafetensorsEntry): Promise<Uint8Array> =>
  entry.source.read(entry.offset, entry.bytes);

/** Numbers of a tensor of floats. */
export function floatsOf(bytes: Uint8Array, dtype: 'f32' | 'f16' | 'bf16'): Float32Array {
  const size = dtype === 'f32' ? 4 : 2;
  return Float32Array.from({ length: bytes.byteLength / size }, (_, i) =>
    bitsToFloat(dtype, size === 4 ? readU32(bytes, 4 * i) : readU16(bytes, 2 * i)),
  );
}

/** The bytes of numbers stored as floats. */
export function bytesOf(values: ArrayLike<number>, dtype: 'f32' | 'f16' | 'bf16'): Uint8Array {
  const size = dtype === 'f32' ? 4 : 2;
  const bytes = new Uint8Array(values.length * size);
  for (let i = 0; i < values.length; i++) {
    const bits = floatToBits(dtype, values[i] as number);
    if (size === 4) writeU32(bytes, 4 * i, bits);
    else writeU16(bytes, 2 * i, bits);
  }
  return bytes;
}

export const bytesPer = (dtype: MetaDtype): number => ({ f32: 4, f16: 2, bf16: 2, e8m0: 1, e4m3: 1 })[dtype];
