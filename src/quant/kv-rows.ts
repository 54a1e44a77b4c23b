// Rows of keys and values as codes: one row is one head of one token, quantised when it is written and never again. What kernels
// of a quantised KV cache are compared with.
//
// A row of `headDim` columns is its codes and then, for each group of columns, its scale and (q4) its minimum, both f16; each part
// begins at a multiple of 4 bytes:
//   q8: codes are signed bytes, x = s q with q of -127 … 127.
//   q4: column 2i is in the low half of byte i, x = s q + m with q of 0 … 15.
//   turbo4, turbo3, turbo2: x = s c[q] with the codebook of so many bits; codes as in q4, for 2 bits four to a byte from its low bits
//     on, for 3 bits their low two bits in that way and behind them their third bits, eight to a byte. Rows are to be rotated before
//     they are written (`kvRotation`), which makes their columns nearly normal and independent, whatever the model: TurboQuant
//     (https://arxiv.org/abs/2504.19874), without the second stage that its inner products may have.

import { IngotError } from '../base/errors.ts';
import { clamp, readU16, writeU16 } from './format.ts';
import { f16ToF32, f32ToF16, roundEven } from './half.ts';

/** What rows are stored as where they are not floats. */
export const kvCodes = ['q8', 'q4', 'turbo4', 'turbo3', 'turbo2'] as const;
export type KvCodes = (typeof kvCodes)[number];

/** Bits of a code. */
export const kvCodeBits: Readonly<Record<KvCodes, 2 | 3 | 4 | 8>> = {
  q8: 8,
  q4: 4,
  turbo4: 4,
  turbo3: 3,
  turbo2: 2,
};

/**
 * Codebooks of least squared error for a normal distribution of variance 1, the positive half, in ascending order: the fixed point
 * of Lloyd's method (S. Lloyd, Least squares quantization in PCM, 1982; J. Max, 1960).
 */
const positiveLevels = {
  turbo2: [0.45278003, 1.51041761],
  turbo3: [0.24509418, 0.75600528, 1.34390928, 2.1519457],
  turbo4: [0.12839503, 0.3880483, 0.65675912, 0.94234046, 1.2562312, 1.61804639, 2.06901723, 2.73258957],
} as const;

export type TurboCodes = keyof typeof positiveLevels;

export const isTurbo = (codes: KvCodes): codes is TurboCodes => codes in positiveLevels;

/** Numbers that the codes stand for, ascending. */
export const kvCodebook = (codes: TurboCodes): Float32Array => {
  const half = positiveLevels[codes];
  return Float32Array.from([...half.map((x) => -x).reverse(), ...half]);
};

/** Where the parts of a row lie, in bytes. */
export interface KvRowSizes {
  /** Columns that share a scale. */
  readonly group: number;
  readonly groups: number;
  /** Where the first group's scale is. */
  readonly scales: number;
  /** Bytes of what a group has: its scale, and its minimum 2 bytes behind. */
  readonly meta: 2 | 4;
  readonly bytes: number;
}

const aligned = (bytes: number): number => Math.ceil(bytes / 4) * 4;

/**
 * Columns of a group: 32, or 16 where the head is no multiple of 32. Rotated rows share a scale over the largest power of two that
 * divides the head, within which they are rotated.
 */
function groupOf(codes: KvCodes, headDim: number): number {
  const power = headDim & -headDim;
  return isTurbo(codes) ? power : Math.min(power, 32);
}

/** Sizes of a row. Throws invalid_argument when whole groups do not fill the head. */
export function kvRowSizes(codes: KvCodes, headDim: number): KvRowSizes {
  if (!Number.isSafeInteger(headDim) || headDim <= 0 || headDim % 16 !== 0) {
    throw new IngotError(
      'invalid_argument',
      `KV rows as ${codes}: a head of ${headDim} columns is not a whole number of groups of 16`,
      { details: { headDim, group: 16 } },
    );
  }
  const group = groupOf(codes, headDim);
  const groups = headDim / group;
  const meta = codes === 'q4' ? 4 : 2;
  const scales = aligned((headDim * kvCodeBits[codes]) / 8);
  return { group, groups, scales, meta, bytes: aligned(scales + groups * meta) };
}

const largestHalf = 65504;
/** The f16 nearest to a number of any size, as stored. */
const half = (value: number): number => f32ToF16(clamp(value, -largestHalf, largestHalf));
const inverseOf = (scale: number): number => (scale === 0 ? 0 : Math.fround(1 / scale));

/** Writes `values` `[headDim]`, which must be finite, as a row at `at` of `out`. Numbers beyond what f16 scales reach are cut. */
export function writeKvRow(codes: KvCodes, values: Float32Array, out: Uint8Array, at = 0): void {
  const { group, groups, scales, meta, bytes } = kvRowSizes(codes, values.length);
  out.fill(0, at, at + bytes);
  for (let g = 0; g < groups; g++) {
    const columns = values.subarray(g * group, (g + 1) * group);
    const put = (i: number, code: number): void =>
      putCode(codes, out, at, values.length, g * group + i, code);
    const place = at + scales + g * meta;
    if (isTurbo(codes)) writeTurbo(codes, columns, put, out, place);
    else if (codes === 'q8') writeSigned(columns, put, out, place);
    else writeNibbles(columns, put, out, place);
  }
}

type Put = (column: number, code: number) => void;

/** Every step rounds to f32, so that kernels get the same codes. */
function writeSigned(group: Float32Array, put: Put, out: Uint8Array, place: number): void {
  let peak = 0;
  for (const value of group) peak = Math.max(peak, Math.abs(value));
  const bits = half(Math.fround(peak / 127));
  const inverse = inverseOf(f16ToF32(bits));
  group.forEach((value, i) => {
    put(i, clamp(roundEven(Math.fround(value * inverse)), -127, 127));
  });
  writeU16(out, place, bits);
}

function writeNibbles(group: Float32Array, put: Put, out: Uint8Array, place: number): void {
  let [low, high] = [Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY];
  for (const value of group) {
    low = Math.min(low, value);
    high = Math.max(high, value);
  }
  const lowBits = half(low + 0); // no negative zero
  const minimum = f16ToF32(lowBits);
  const bits = half(Math.fround(Math.max(0, Math.fround(high - minimum)) / 15));
  const inverse = inverseOf(f16ToF32(bits));
  group.forEach((value, i) => {
    put(i, clamp(roundEven(Math.fround(Math.fround(value - minimum) * inverse)), 0, 15));
  });
  writeU16(out, place, bits);
  writeU16(out, place + 2, lowBits);
}

/** The scale is the root of the mean square, and then what makes the row as long as it was. */
function writeTurbo(codes: TurboCodes, group: Float32Array, put: Put, out: Uint8Array, place: number): void {
  const book = kvCodebook(codes);
  const square = sumOf(group.length, (i) => Math.fround((group[i] as number) * (group[i] as number)));
  const root = Math.fround(Math.sqrt(Math.fround(square / group.length)));
  const inverse = inverseOf(root);
  const found = Array.from(group, (value) => nearest(book, Math.fround(value * inverse)));
  const length = sumOf(group.length, (i) => {
    const level = book[found[i] as number] as number;
    return Math.fround(level * level);
  });
  found.forEach((code, i) => {
    put(i, code);
  });
  writeU16(out, place, half(Math.fround(Math.sqrt(Math.fround(square / length)))));
}

/** In f32, one after the other. */
function sumOf(count: number, term: (i: number) => number): number {
  let sum = 0;
  for (let i = 0; i < count; i++) sum = Math.fround(sum + term(i));
  return sum;
}

/** Borders between neighbours of a codebook are in the middle, and belong to the lower one. */
export const kvBorders = (book: Float32Array): Float32Array =>
  Float32Array.from({ length: book.length - 1 }, (_, i) => {
    const [low, high] = [book[i] as number, book[i + 1] as number];
    return (low + high) / 2;
  });

function nearest(book: Float32Array, value: number): number {
  let code = 0;
  for (const border of kvBorders(book)) code += value > border ? 1 : 0;
  return code;
}

/** The row at `at` of `bytes`, dequantised: `[headDim]`. */
export function readKvRow(codes: KvCodes, bytes: Uint8Array, headDim: number, at = 0): Float32Array {
  const { group, scales, meta } = kvRowSizes(codes, headDim);
  const book = isTurbo(codes) ? kvCodebook(codes) : undefined;
  return Float32Array.from({ length: headDim }, (_, i) => {
    const place = at + scales + Math.floor(i / group) * meta;
    const scale = f16ToF32(readU16(bytes, place));
    const code = getCode(codes, bytes, at, headDim, i);
    if (book !== undefined) return scale * (book[code] as number);
    if (codes === 'q8') return scale * code;
    return Math.fround(scale * code) + f16ToF32(readU16(bytes, place + 2));
  });
}

function putCode(
  codes: KvCodes,
  out: Uint8Array,
  at: number,
  headDim: number,
  i: number,
  code: number,
): void {
  const bits = kvCodeBits[codes];
  if (bits === 8) out[at + i] = code;
  else if (bits === 4) setBits(out, at + (i >> 1), code << (4 * (i & 1)));
  else {
    setBits(out, at + (i >> 2), (code & 3) << (2 * (i & 3)));
    if (bits === 3) setBits(out, at + headDim / 4 + (i >> 3), (code >> 2) << (i & 7));
  }
}

function setBits(out: Uint8Array, at: number, bits: number): void {
  out[at] = (out[at] as number) | bits;
}

function getCode(codes: KvCodes, bytes: Uint8Array, at: number, headDim: number, i: number): number {
  const bits = kvCodeBits[codes];
  const byte = (place: number): number => bytes[at + place] as number;
  if (bits === 8) return (byte(i) << 24) >> 24;
  if (bits === 4) return (byte(i >> 1) >> (4 * (i & 1))) & 15;
  const low = (byte(i >> 2) >> (2 * (i & 3))) & 3;
  return bits === 2 ? low : low | (((byte(headDim / 4 + (i >> 3)) >> (i & 7)) & 1) << 2);
}

/**
 * Largest |x - read x| of a group of q8 or q4 whose values are within [min, max]: half a step, and what rounding scale and minimum to
 * f16 and the steps to f32 moves the ends by (relative 2^-11, or half of its smallest step of 2^-24 times the largest code).
 */
export function kvRowBound(codes: 'q8' | 'q4', min: number, max: number): number {
  const eps = 2 ** -11 + 2 ** -22;
  const peak = Math.max(Math.abs(min), Math.abs(max));
  if (codes === 'q8') return (peak / 127) * (0.5 + 128 * eps) + 128 * 2 ** -25;
  return ((max - min) / 15) * (0.5 + 16 * eps) + 3 * eps * peak + 17 * 2 ** -25;
}

/**
 * The rotation of rows of turbo codes, `[headDim, headDim]`, orthonormal: y = x R of a row x, x = y Rᵀ. Blocks of the largest power of
 * two that divides the head, each random signs and then the Hadamard transform, which spreads every column over all of them.
 * The same always: rows are read by other processes.
 */
export function kvRotation(headDim: number): Float32Array {
  const { group } = kvRowSizes('turbo4', headDim);
  const out = new Float32Array(headDim * headDim);
  const scale = 1 / Math.sqrt(group);
  for (let row = 0; row < headDim; row++) {
    const [i, base] = [row % group, row - (row % group)];
    for (let j = 0; j < group; j++) {
      const sign = (bitsOf(i & j) + signOf(row)) % 2 === 0 ? 1 : -1;
      out[row * headDim + base + j] = sign * scale;
    }
  }
  return out;
}

function bitsOf(n: number): number {
  let [count, rest] = [0, n];
  for (; rest > 0; rest &= rest - 1) count++;
  return count;
}

/** A bit of a hash of n (the finaliser of MurmurHash3). */
function signOf(n: number): number {
  let x = Math.imul((n + 1) ^ 0x9e3779b9, 0x85ebca6b);
  x = Math.imul(x ^ (x >>> 13), 0xc2b2ae35);
  return (x ^ (x >>> 16)) & 1;
}
