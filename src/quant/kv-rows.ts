// Rows of keys and values in 8 or 4 bits: one row is one head of one token, quantised when it is written and never again. What kernels
// of a quantised KV cache are compared with.
//
// A row of `headDim` columns is its codes and then, for each group of columns, its scale and (4 bits) its minimum, both f16:
//   8 bits: codes are signed bytes, x = s q with q of -127 … 127; the byte is what integer dot products take.
//   4 bits: column 2i is in the low half of byte i, x = s q + m with q of 0 … 15. q·k of a query is then s Σ q_i c_i + m Σ q_i,
//           whose second sum is the same for all keys.

import { IngotError } from '../base/errors.ts';
import { clamp, readU16, writeU16 } from './format.ts';
import { f16ToF32, f32ToF16, roundEven } from './half.ts';

export interface KvRowFormat {
  readonly bits: 4 | 8;
  /** Columns of a head that share a scale. */
  readonly group: 32 | 64;
}

/** All of them, for tables of kernels and tests. */
export const kvRowFormats: readonly KvRowFormat[] = ([8, 4] as const).flatMap((bits) =>
  ([32, 64] as const).map((group) => ({ bits, group })),
);

/** Where the parts of a row lie, in bytes. */
export interface KvRowSizes {
  readonly codes: number;
  readonly groups: number;
  /** Bytes of what a group has: its scale, and its minimum 2 bytes behind. */
  readonly meta: 2 | 4;
  readonly bytes: number;
}

/** Sizes of a row. Throws invalid_argument when whole groups do not fill the head. */
export function kvRowSizes({ bits, group }: KvRowFormat, headDim: number): KvRowSizes {
  if (!Number.isSafeInteger(headDim) || headDim <= 0 || headDim % group !== 0) {
    throw new IngotError(
      'invalid_argument',
      `KV rows of ${bits} bits: a head of ${headDim} columns is not a whole number of groups of ${group}`,
      { details: { headDim, group } },
    );
  }
  const groups = headDim / group;
  const meta = bits === 8 ? 2 : 4;
  const codes = (headDim * bits) / 8;
  return { codes, groups, meta, bytes: codes + groups * meta };
}

const largestHalf = 65504;
/** The f16 nearest to a number of any size, as stored. */
const half = (value: number): number => f32ToF16(clamp(value, -largestHalf, largestHalf));

/** Writes `values` `[headDim]`, which must be finite, as a row at `at` of `out`. Numbers beyond what f16 scales reach are cut. */
export function writeKvRow(format: KvRowFormat, values: Float32Array, out: Uint8Array, at = 0): void {
  const { codes, groups, meta } = kvRowSizes(format, values.length);
  for (let g = 0; g < groups; g++) {
    const from = g * format.group;
    const group = values.subarray(from, from + format.group);
    const to = at + codes + g * meta;
    if (format.bits === 8) writeSigned(group, out, at + from, to);
    else writeNibbles(group, out, at + from / 2, to);
  }
}

function writeSigned(group: Float32Array, out: Uint8Array, codes: number, meta: number): void {
  let peak = 0;
  for (const value of group) peak = Math.max(peak, Math.abs(value));
  const bits = half(peak / 127);
  const scale = f16ToF32(bits);
  const inverse = scale === 0 ? 0 : 1 / scale;
  group.forEach((value, i) => {
    out[codes + i] = clamp(roundEven(value * inverse), -127, 127);
  });
  writeU16(out, meta, bits);
}

function writeNibbles(group: Float32Array, out: Uint8Array, codes: number, meta: number): void {
  let [low, high] = [Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY];
  for (const value of group) {
    low = Math.min(low, value);
    high = Math.max(high, value);
  }
  const lowBits = half(low);
  const minimum = f16ToF32(lowBits);
  const bits = half(Math.max(0, high - minimum) / 15);
  const scale = f16ToF32(bits);
  const inverse = scale === 0 ? 0 : 1 / scale;
  const code = (i: number): number => clamp(roundEven(((group[i] as number) - minimum) * inverse), 0, 15);
  for (let i = 0; i < group.length; i += 2) out[codes + i / 2] = code(i) | (code(i + 1) << 4);
  writeU16(out, meta, bits);
  writeU16(out, meta + 2, lowBits);
}

/** The row at `at` of `bytes`, dequantised: `[headDim]`. */
export function readKvRow(format: KvRowFormat, bytes: Uint8Array, headDim: number, at = 0): Float32Array {
  const { codes, meta } = kvRowSizes(format, headDim);
  return Float32Array.from({ length: headDim }, (_, i) => {
    const place = at + codes + Math.floor(i / format.group) * meta;
    const scale = f16ToF32(readU16(bytes, place));
    if (format.bits === 8) return scale * (((bytes[at + i] as number) << 24) >> 24);
    const byte = bytes[at + (i >> 1)] as number;
    return Math.fround(scale * ((byte >> (4 * (i & 1))) & 15)) + f16ToF32(readU16(bytes, place + 2));
  });
}

/**
 * Largest |x - read x| of a group whose values are within [min, max]: half a step, and what rounding scale and minimum to f16 moves
 * the ends by (relative 2^-11, or half of its smallest step of 2^-24 times the largest code).
 */
export function kvRowBound({ bits }: KvRowFormat, min: number, max: number): number {
  const eps = 2 ** -11;
  const peak = Math.max(Math.abs(min), Math.abs(max));
  if (bits === 8) return (peak / 127) * (0.5 + 128 * eps) + 128 * 2 ** -25;
  return ((max - min) / 15) * (0.5 + 16 * eps) + 3 * eps * peak + 17 * 2 ** -25;
}
