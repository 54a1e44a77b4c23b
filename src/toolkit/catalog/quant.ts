// Quantised numbers as arrays: codes, scales, and what they stand for (f32 unless said). Packed weights for models are ingot's own formats.

import type { NDArray } from '../../array/array.ts';
import { fromData } from '../../array/creation.ts';
import * as affine from '../../array/functions/quantized.ts';
import type { Term } from '../../array/ops/elementwise/elementwise.ts';
import { where } from '../../array/ops/elementwise/where.ts';
import { concat } from '../../array/ops/shape/concat.ts';
import { e4m3ToF32 } from '../../quant/half.ts';
import { elementwise } from '../elementwise.ts';
import { require, width } from './common.ts';
import { swigluPair } from './transformer.ts';

const rowsOf = (x: NDArray): readonly number[] => x.shape.slice(0, -1) as readonly number[];
const scaled = elementwise('f32(q) * scale', { name: 'dequantize', inputs: ['q', 'scale'], dtype: 'f32' });

/** @formula q · scale
 * @shapes q i8 `[…]`, scale (broadcasts) -> f32 `[…]`
 * @gradient scale
 * @source https://arxiv.org/abs/1712.05877 */
export const dequantizeInt8 = (q: NDArray, scale: Term): NDArray => scaled(q, scale);
const siluScaled = elementwise('silu(f32(q) * scale)', {
  name: 'dequantizeSiluInt8',
  inputs: ['q', 'scale'],
  dtype: 'f32',
});
/** @formula silu(q · scale)
 * @shapes q i8 `[…]`, scale (broadcasts) -> f32 `[…]`
 * @gradient scale
 * @source https://arxiv.org/abs/1712.05877 */
export const dequantizeSiluInt8 = (q: NDArray, scale: Term): NDArray => siluScaled(q, scale);

/** @formula scale = max |x| / 127 of each row; q = round(x / scale)
 * @shapes x `[…, D]` -> codes i8 `[…, D]`, scales f32 `[…, 1]`
 * @gradient none: steps
 * @source https://arxiv.org/abs/2208.07339 */
export function quantizeInt8(x: NDArray): { readonly codes: NDArray; readonly scales: NDArray } {
  const most = x.cast('f32').abs().max(-1, true);
  const scales = where(most.eq(0), 1, most.div(127));
  return { codes: rounded(x, scales).cast('i8'), scales };
}
const rounded = elementwise('i32(clamp(round(x / scale), -127, 127))', {
  name: 'quantizeInt8',
  inputs: ['x', 'scale'],
});

const nibble = elementwise('(x >> shift) & 15u', { name: 'nibbles', inputs: ['x', 'shift'] });
/** Two codes of each byte, the low one first. */
const nibbles = (x: NDArray): NDArray => {
  const pairs = nibble(x.reshape([...x.shape, 1]), fromData(Uint32Array.from([0, 4]), [2]));
  return pairs.reshape([...rowsOf(x), 2 * width(x, 'nibbles')]);
};

/** @formula (q - zero) · scale, the low half of a byte first
 * @shapes x u8 `[…, n]`, scale (broadcasts) -> f32 `[…, 2 n]`
 * @gradient scale
 * @source https://arxiv.org/abs/2210.17323 */
export function dequantizeInt4(x: NDArray, scale: Term, { zero = 8 } = {}): NDArray {
  require(x.dtype === 'u8', `dequantizeInt4: the codes are ${x.dtype}; they must be u8`);
  return shiftedScale(nibbles(x), zero, scale);
}
const shiftedScale = elementwise('(f32(q) - zero) * scale', {
  name: 'dequantizeInt4',
  inputs: ['q', 'zero', 'scale'],
  dtype: 'f32',
});

/** @formula q · scales[i / block]; 4-bit codes are two to a byte, minus 8
 * @shapes x i8 `[…, D]` or u8 `[…, D / 2]`, scales `[…, D / block]` -> f32 `[…, D]`
 * @gradient scales
 * @source https://arxiv.org/abs/2110.02861 */
export function dequantizeBlockwise(x: NDArray, scales: NDArray, { block = 128, bits = 8 } = {}): NDArray {
  require(bits === 8 || bits === 4, `dequantizeBlockwise: ${bits} bits are not 8 or 4`);
  const codes = bits === 8 ? x : nibbles(x).cast('i32').sub(8);
  return byBlocks(codes, scales, block);
}

function byBlocks(codes: NDArray, scales: NDArray, block: number): NDArray {
  const D = width(codes, 'blocks');
  require(D % block === 0 &&
    scales.shape.at(-1) ===
      D /
        block, `blocks: ${D} codes do not divide into blocks of ${block} with ${String(scales.shape.at(-1))} scales`);
  const rows = rowsOf(codes);
  const grouped = codes.reshape([...rows, D / block, block]);
  return scaled(grouped, scales.reshape([...rows, D / block, 1])).reshape([...rows, D]);
}

export interface AffineOptions {
  /** 2, 3, 4, 5, 6 or 8; default 4. */
  readonly bits?: number;
  /** Default 64. */
  readonly groupSize?: number;
}

/** Where the code j of 32 begins: its word, its bit, and whether it ends in the next word. */
const codePlaces = (bits: number) =>
  Array.from({ length: 32 }, (_, j) => ({
    word: (j * bits) >> 5,
    at: (j * bits) & 31,
    spills: ((j * bits) & 31) + bits > 32,
  }));

const words = (list: readonly number[]): NDArray => fromData(Uint32Array.from(list), [list.length]);
const extracted = elementwise('((low >> at) | (spills != 0u ? high << (32u - at) : 0u)) & top', {
  name: 'dequantizeAffine',
  inputs: ['low', 'high', 'at', 'spills', 'top'],
});

/** Codes one after the other from the lowest bit of the first word on, as MLX packs them for every number of bits.
 * @formula q · scale + bias of the group
 * @shapes codes u32 `[…, D bits / 32]`, scales, biases `[…, D / groupSize]` -> `[…, D]` in the dtype of the scales
 * @gradient scales, biases
 * @source MLX's dequantize */
export function dequantizeAffine(
  codes: NDArray,
  scales: NDArray,
  biases: NDArray,
  options: AffineOptions = {},
): NDArray {
  const { bits = 4, groupSize = 64 } = options;
  if (bits === 2 || bits === 4 || bits === 8)
    return affine.dequantize(codes, scales, biases, { bits, groupSize });
  require([3, 5, 6].includes(bits), `dequantizeAffine: ${bits} bits are not 2, 3, 4, 5, 6 or 8`);
  const rows = rowsOf(codes);
  const count = width(codes, 'dequantizeAffine');
  require(count % bits ===
    0, `dequantizeAffine: ${count} words do not hold whole sets of 32 codes of ${bits} bits`);
  const sets = count / bits;
  const D = 32 * sets;
  const places = codePlaces(bits);
  const grouped = codes.cast('u32').reshape([...rows, sets, bits]);
  const pick = (list: readonly number[]): NDArray => grouped.take(fromData(Int32Array.from(list), [32]), -1);
  const q = extracted(
    pick(places.map((p) => p.word)),
    pick(places.map((p) => Math.min(p.word + 1, bits - 1))),
    words(places.map((p) => p.at)),
    words(places.map((p) => Number(p.spills))),
    2 ** bits - 1,
  );
  const values = q.reshape([...rows, D / groupSize, groupSize]).cast(scales.dtype);
  const wide = (x: NDArray): NDArray => x.reshape([...rows, D / groupSize, 1]);
  return values
    .mul(wide(scales))
    .add(wide(biases))
    .reshape([...rows, D]);
}

/** @formula scale = (max - min) / (2^bits - 1) of each group, q = round((x - bias) / scale), bias an edge of the group
 * @shapes x `[…, D]` -> codes u32 `[…, D bits / 32]`, scales, biases `[…, D / groupSize]`
 * @gradient none: steps
 * @source MLX's quantize */
export function quantizeAffine(
  x: NDArray,
  options: AffineOptions = {},
): readonly [codes: NDArray, scales: NDArray, biases: NDArray] {
  const { bits = 4, groupSize = 64 } = options;
  if (bits === 2 || bits === 4 || bits === 8) return affine.quantize(x, { bits, groupSize });
  require([3, 5, 6].includes(bits), `quantizeAffine: ${bits} bits are not 2, 3, 4, 5, 6 or 8`);
  const D = width(x, 'quantizeAffine');
  require(D % groupSize === 0 &&
    groupSize % 32 === 0, `quantizeAffine: ${D} columns do not divide into groups of ${groupSize}`);
  const rows = rowsOf(x);
  const groups = x.cast('f32').reshape([...rows, D / groupSize, groupSize]);
  const low = groups.min(-1, true);
  const scale = groups
    .max(-1, true)
    .sub(low)
    .div(2 ** bits - 1)
    .maximum(1e-7);
  const q = groups
    .sub(low)
    .div(scale)
    .round()
    .maximum(0)
    .minimum(2 ** bits - 1)
    .cast('u32');
  const sets = q.reshape([...rows, D / 32, 32]);
  const places = codePlaces(bits);
  const column = (j: number): NDArray => sets.slice(...rows.map(() => null), null, [j, j + 1]);
  const packed = Array.from({ length: bits }, (_, w) => {
    const parts = places.flatMap(({ word, at, spills }, j) => [
      ...(word === w ? [column(j).leftShift(at)] : []),
      ...(spills && word + 1 === w ? [column(j).rightShift(32 - at)] : []),
    ]);
    return parts.reduce((a, b) => a.bitwiseOr(b));
  });
  const flat = (y: NDArray): NDArray => y.reshape([...rows, D / groupSize]).cast(x.dtype);
  return [concat(packed, -1).reshape([...rows, (D * bits) / 32]), flat(scale), flat(low)];
}

/** A code's number from a table, which is exact on every device. */
const fromTable = (codes: NDArray, table: readonly number[]): NDArray =>
  fromData(Float32Array.from(table), [table.length]).take(codes.cast('i32'), 0);

const e5m2 = (byte: number): number => {
  const [sign, e, m] = [byte & 0x80 ? -1 : 1, (byte >> 2) & 31, byte & 3];
  if (e === 31) return m === 0 ? sign * Number.POSITIVE_INFINITY : Number.NaN;
  return sign * (e === 0 ? (m / 4) * 2 ** -14 : (1 + m / 4) * 2 ** (e - 15));
};
const bytes = Array.from({ length: 256 }, (_, i) => i);

/** @formula e4m3 (bias 7, no infinity, 0x7f NaN) or e5m2 (bias 15, IEEE) times scale
 * @shapes x u8 `[…]`, scale (broadcasts) -> f32 `[…]`
 * @gradient scale
 * @source https://arxiv.org/abs/2209.05433 */
export const dequantizeFp8 = (x: NDArray, scale: Term, format: 'e4m3' | 'e5m2' = 'e4m3'): NDArray =>
  fromTable(x, bytes.map(format === 'e4m3' ? e4m3ToF32 : e5m2)).mul(scale);

/** Quantiles of the normal distribution. */
const nf4 = [
  -1, -0.6961928009986877, -0.5250730514526367, -0.39491748809814453, -0.28444138169288635,
  -0.18477343022823334, -0.09105003625154495, 0, 0.07958029955625534, 0.16093020141124725,
  0.24611230194568634, 0.33791524171829224, 0.44070982933044434, 0.5626170039176941, 0.7229568362236023, 1,
];
/** @formula table[q] · scales[i / block], the low half of a byte first
 * @shapes x u8 `[…, D / 2]`, scales `[…, D / block]` -> f32 `[…, D]`
 * @gradient scales
 * @source https://arxiv.org/abs/2305.14314 */
export const dequantizeNf4 = (x: NDArray, scales: NDArray, { block = 64 } = {}): NDArray =>
  byBlocks(fromTable(nibbles(x), nf4), scales, block);

/** Code of the nearest of rising numbers: how many of the middles between them are below. */
const nearest = (name: string, table: readonly number[]) =>
  elementwise(
    table
      .slice(1)
      .map((v, i) => `u32(x / scale > ${(v + (table[i] as number)) / 2})`)
      .join(' + '),
    { name, inputs: ['x', 'scale'] },
  );
const nearestNf4 = nearest('quantizeNf4', nf4);
/** Two codes in a byte, the low half first. */
const packNibbles = (q: NDArray): NDArray => {
  const D = width(q, 'nibbles');
  require(D % 2 === 0, `nibbles: ${D} codes do not fill bytes`);
  return q
    .reshape([...rowsOf(q), D / 2, 2])
    .leftShift(fromData(Uint32Array.from([0, 4]), [2]))
    .sum(-1)
    .cast('u8');
};
/** @formula scale = max |x| of each block; q = the nearest of the table to x / scale
 * @shapes x `[…, D]` -> codes u8 `[…, D / 2]`, scales f32 `[…, D / block]`
 * @gradient none: steps
 * @source https://arxiv.org/abs/2305.14314 */
export function quantizeNf4(
  x: NDArray,
  { block = 64 } = {},
): { readonly codes: NDArray; readonly scales: NDArray } {
  const D = width(x, 'quantizeNf4');
  require(D % block === 0, `quantizeNf4: ${D} columns do not divide into blocks of ${block}`);
  const rows = rowsOf(x);
  const groups = x.cast('f32').reshape([...rows, D / block, block]);
  const scales = groups.abs().max(-1, true);
  const codes = nearestNf4(groups, where(scales.eq(0), 1, scales)).reshape([...rows, D]);
  return { codes: packNibbles(codes), scales: scales.reshape([...rows, D / block]) };
}

const e2m1 = [0, 0.5, 1, 1.5, 2, 3, 4, 6];
const signedE2m1 = [...e2m1, ...e2m1.map((v) => (v === 0 ? -0 : -v))];
const e8m0 = bytes.map((b) => (b === 255 ? Number.NaN : 2 ** (b - 127)));
/** @formula e2m1(q) · 2^(s - 127), 32 numbers to a scale, the low half of a byte first
 * @shapes x u8 `[…, D / 2]`, scales u8 `[…, D / 32]` -> f32 `[…, D]`
 * @gradient none: codes
 * @source https://www.opencompute.org/documents/ocp-microscaling-formats-mx-v1-0-spec-final-pdf */
export const dequantizeMxfp4 = (x: NDArray, scales: NDArray): NDArray =>
  byBlocks(fromTable(nibbles(x), signedE2m1), fromTable(scales, e8m0), 32);

const magnitude = nearest('quantizeMxfp4', e2m1);
const signBit = elementwise('q | (x < 0 ? 8u : 0u)', { name: 'quantizeMxfp4', inputs: ['q', 'x'] });
/** @formula s = floor(log₂ max |x|) - 2 of 32 numbers; q = the nearest e2m1 to x / 2^s
 * @shapes x `[…, D]` -> codes u8 `[…, D / 2]`, scales u8 `[…, D / 32]`
 * @gradient none: steps
 * @source https://www.opencompute.org/documents/ocp-microscaling-formats-mx-v1-0-spec-final-pdf */
export function quantizeMxfp4(x: NDArray): { readonly codes: NDArray; readonly scales: NDArray } {
  const D = width(x, 'quantizeMxfp4');
  require(D % 32 === 0, `quantizeMxfp4: ${D} columns do not divide into blocks of 32`);
  const rows = rowsOf(x);
  const groups = x.cast('f32').reshape([...rows, D / 32, 32]);
  const most = groups.abs().max(-1, true);
  // The exponent of a float is in its bits, but floats are all that is here: count the powers of two that are not above.
  const powers = fromData(Float32Array.from(e8m0.slice(1, 255)), [254]);
  const exponent = powers.le(most).cast('i32').sum(-1, true);
  const biased = exponent.sub(2).maximum(0);
  const scale = fromTable(biased, e8m0).reshape(most.shape);
  const q = magnitude(groups.abs(), where(most.eq(0), 1, scale));
  const codes = signBit(q, groups).reshape([...rows, D]);
  return { codes: packNibbles(codes), scales: biased.reshape([...rows, D / 32]).cast('u8') };
}

/** Gate and up of a quantised layer become the hidden row in one kernel.
 * @formula silu(g · scale_g) · (u · scale_u), scales by blocks
 * @shapes g, u i8 `[…, D]`, scales `[…, D / block]` -> f32 `[…, D]`
 * @gradient the scales
 * @source https://arxiv.org/abs/2002.05202 */
export const quantizedSwiglu = (
  gate: { readonly codes: NDArray; readonly scales: NDArray },
  up: { readonly codes: NDArray; readonly scales: NDArray },
  { block = 128 } = {},
): NDArray => swigluPair(byBlocks(gate.codes, gate.scales, block), byBlocks(up.codes, up.scales, block));

/** @formula x (q · scale + bias)ᵀ
 * @shapes x `[…, M, D]`, codes u32 `[N, D bits / 32]`, scales, biases `[N, D / groupSize]` -> `[…, M, N]`
 * @gradient x, scales, biases
 * @source MLX's quantized_matmul */
export const affineMatmul = (
  x: NDArray,
  { codes, scales, biases }: { readonly codes: NDArray; readonly scales: NDArray; readonly biases: NDArray },
  options: AffineOptions = {},
): NDArray => x.matmul(dequantizeAffine(codes, scales, biases, options).transpose());

/** @formula round to the nearest of 2^bits levels between the extremes of each group, as a float: what quantising does to weights
 * @shapes x `[…, D]` -> `[…, D]`
 * @gradient x, straight through
 * @source https://arxiv.org/abs/1308.3432 */
export function fakeQuantize(x: NDArray, { bits = 4, groupSize = 64 }: AffineOptions = {}): NDArray {
  const D = width(x, 'fakeQuantize');
  require(D % groupSize === 0, `fakeQuantize: ${D} columns do not divide into groups of ${groupSize}`);
  const groups = x.reshape([...rowsOf(x), D / groupSize, groupSize]);
  const [low, high] = [groups.min(-1, true), groups.max(-1, true)];
  return straight(groups, low, high, 2 ** bits - 1).reshape(x.shape);
}
const straight = elementwise(
  'let step = max((high - low) / top, 1e-12); round((x - low) / step) * step + low',
  { name: 'fakeQuantize', inputs: ['x', 'low', 'high', 'top'], gradient: { x: 'g' } },
);
