// The namespace `quantized`: groups of a row as codes with a scale, packed into u32, as MLX does. Codes of affine groups are whole
// numbers of 2 to 8 bits with a scale and a bias in floats; those of mxfp4, nvfp4 and mxfp8 are small floats, with one scale as u8.

import { type DType, type FloatDType, isFloat } from '../../base/dtype.ts';
import { IngotError } from '../../base/errors.ts';
import { formatShape } from '../../base/shape.ts';
import { type Given, named } from '../arguments.ts';
import type { NDArray } from '../array.ts';
import { fromData, full } from '../creation.ts';
import { where } from '../ops/elementwise/where.ts';
import { fixed } from '../ops/operands.ts';
import { concat } from '../ops/shape/concat.ts';
import { view } from '../ops/shape/view.ts';
import { fromFp8, toFp8 } from './fp8.ts';
import { matrixTranspose } from './numpy.ts';
import { alongAxis } from './terms.ts';

export type QuantizeMode = 'affine' | 'mxfp4' | 'mxfp8' | 'nvfp4';

export interface QuantizeOptions {
  /** Elements that share a scale: 32, 64 (default) or 128 when affine; 16 of nvfp4, 32 of mxfp4 and mxfp8. */
  readonly groupSize?: number;
  /** 2, 3, 4 (default), 5, 6 or 8 when affine; else what the mode says. */
  readonly bits?: number;
  readonly mode?: QuantizeMode;
}
export interface DequantizeOptions extends QuantizeOptions {
  /** Of the result; default that of the scales, bf16 for modes whose scales are u8, which holds their numbers. */
  readonly dtype?: FloatDType;
}
export interface QuantizedMatmulOptions extends QuantizeOptions {
  /** True (default) for w [N, K], false for w [K, N]. */
  readonly transpose?: boolean;
}

interface Format {
  readonly mode: QuantizeMode;
  readonly groupSize: number;
  readonly bits: number;
}

const small: Readonly<Record<string, { readonly groupSize: number; readonly bits: number }>> = {
  mxfp4: { groupSize: 32, bits: 4 },
  nvfp4: { groupSize: 16, bits: 4 },
  mxfp8: { groupSize: 32, bits: 8 },
};

function formatOf({ mode = 'affine', groupSize, bits }: QuantizeOptions, what: string): Format {
  const fail = (problem: string): never => {
    throw new IngotError('invalid_argument', `${what}: ${problem}`);
  };
  if (mode === 'affine') {
    const format = { mode, groupSize: groupSize ?? 64, bits: bits ?? 4 };
    if (![2, 3, 4, 5, 6, 8].includes(format.bits)) fail(`${bits} bits are not 2, 3, 4, 5, 6 or 8`);
    if (![32, 64, 128].includes(format.groupSize)) fail(`groups of ${groupSize} are not of 32, 64 or 128`);
    return format;
  }
  const own = small[mode] ?? fail(`mode '${mode}' is none of affine, ${Object.keys(small).join(', ')}`);
  if ((groupSize ?? own.groupSize) !== own.groupSize || (bits ?? own.bits) !== own.bits) {
    fail(`${mode} has groups of ${own.groupSize} and ${own.bits} bits`);
  }
  return { mode, ...own };
}

/**
 * Where the codes of a run of values begin in its words: a stream of bits from the lowest on. `span` values fill whole words; a code
 * may lie across two.
 */
const places = (bits: number) => {
  const span = 32 % bits === 0 ? 32 / bits : 32;
  return {
    span,
    words: (span * bits) / 32,
    at: Array.from({ length: span }, (_, i) => ({
      word: Math.floor((i * bits) / 32),
      shift: (i * bits) % 32,
      across: ((i * bits) % 32) + bits > 32,
    })),
  };
};
const words32 = (list: readonly number[]): NDArray => fromData(Uint32Array.from(list));

/** Codes u32 [..., K] as words [..., K bits / 32]. */
function packed(codes: NDArray, bits: number): NDArray {
  const { span, words, at } = places(bits);
  const rows = codes.shape.slice(0, -1);
  const K = fixed(codes.shape.at(-1), 'quantize');
  const runs = codes.reshape([...rows, K / span, span]);
  const last = runs.shape.length - 1;
  const low = runs.leftShift(words32(at.map((p) => p.shift)));
  const parts = Array.from({ length: words }, (_, w) => {
    const own = at.flatMap((p, i) => (p.word === w ? [i] : []));
    const sum = alongAxis(low, last, [own[0] as number, (own.at(-1) as number) + 1]).sum(-1, true);
    const before = at.findIndex((p) => p.word === w - 1 && p.across);
    if (before < 0) return sum;
    const rest = alongAxis(runs, last, [before, before + 1]);
    return sum.bitwiseOr(rest.rightShift(32 - (at[before]?.shift ?? 0)));
  });
  return concat(parts, -1).reshape([...rows, (K * bits) / 32]);
}

/** The codes of words: u32 [..., K]. */
function unpacked(codes: NDArray, bits: number): NDArray {
  const { span, words, at } = places(bits);
  const rows = codes.shape.slice(0, -1);
  const count = fixed(codes.shape.at(-1), 'dequantize');
  const runs = codes.reshape([...rows, count / words, words]);
  const low = runs
    .take(words32(at.map((p) => p.word)), runs.shape.length - 1)
    .rightShift(words32(at.map((p) => p.shift)));
  const across = at.some((p) => p.across);
  const both = across
    ? low.bitwiseOr(
        where(
          fromData(at.map((p) => p.across)),
          runs
            .take(words32(at.map((p) => (p.across ? p.word + 1 : p.word))), runs.shape.length - 1)
            .leftShift(words32(at.map((p) => (p.across ? 32 - p.shift : 0)))),
          full([], 0, 'u32'),
        ),
      )
    : low;
  return both.bitwiseAnd(2 ** bits - 1).reshape([...rows, (count / words) * span]);
}

/** Codes [..., K bits / 32] and scales [..., K / groupSize] of w [..., K], and biases when affine: w ≈ scale code + bias. */
export function quantize(
  w: NDArray,
  options: QuantizeOptions & { readonly mode: Exclude<QuantizeMode, 'affine'> },
): readonly [codes: NDArray, scales: NDArray];
export function quantize(
  w: NDArray,
  ...given: Given<[groupSize: number, bits: number, mode: QuantizeMode], QuantizeOptions>
): readonly [codes: NDArray, scales: NDArray, biases: NDArray];
export function quantize(w: NDArray, ...given: readonly unknown[]): readonly NDArray[] {
  const names = ['groupSize', 'bits', 'mode'] as const;
  const format = formatOf(named<QuantizeOptions>('quantize', names, given), 'quantize');
  const { groupSize, bits, mode } = format;
  const K = fixed(w.shape.at(-1), 'quantize');
  if (w.shape.length < 2 || K % groupSize !== 0 || K % 32 !== 0) {
    throw new IngotError(
      'shape_mismatch',
      `quantize: ${K} columns of ${formatShape(w.shape)} do not divide into groups of ${groupSize} of a matrix`,
    );
  }
  const dtype: DType = isFloat(w.dtype) ? w.dtype : 'f32';
  const rows = w.shape.slice(0, -1);
  const groups = w.cast('f32').reshape([...rows, K / groupSize, groupSize]);
  const flat = (y: NDArray): NDArray => y.reshape([...rows, K / groupSize]);
  if (mode === 'affine') {
    const { codes, scale, bias } = affine(groups, bits);
    return [packed(codes.reshape(w.shape), bits), flat(scale).cast(dtype), flat(bias).cast(dtype)];
  }
  const { codes, scale } = smallFloats(groups, mode);
  return [packed(codes.reshape(w.shape), bits), flat(scale)];
}

function affine(groups: NDArray, bits: number) {
  const top = 2 ** bits - 1;
  const [high, low] = [groups.max(-1, true), groups.min(-1, true)];
  const fromBelow = low.abs().gt(high.abs());
  const step = high.sub(low).div(top).maximum(1e-7);
  const signed = where(fromBelow, step, step.neg());
  const edge = where(fromBelow, low, high);
  const atEdge = edge.div(signed).round();
  const scale = where(atEdge.ne(0), edge.div(where(atEdge.eq(0), 1, atEdge)), signed);
  const bias = where(atEdge.eq(0), 0, edge);
  const codes = groups.sub(bias).div(scale).round().maximum(0).minimum(top).cast('u32');
  return { codes, scale, bias };
}

/** Magnitudes of the codes 0 … 7 of a float of 4 bits (E2M1); code 8 and above are their negatives. */
const e2m1 = [0, 0.5, 1, 1.5, 2, 3, 4, 6];
const largestOf = { mxfp4: 6, nvfp4: 6, mxfp8: 448 } as const;

/** The least power of two that is not below x, as its exponent plus 127 (E8M0); 1 for 0. */
const powerOf = (x: NDArray): NDArray => {
  const bits = view(x, 'u32');
  const above = bits.bitwiseAnd(0x7fffff).ne(0).cast('u32');
  return where(x.eq(0), full([], 127, 'u32'), bits.rightShift(23).add(above))
    .minimum(254)
    .cast('u8');
};

function smallFloats(groups: NDArray, mode: Exclude<QuantizeMode, 'affine'>) {
  const wanted = groups.abs().max(-1, true).div(largestOf[mode]);
  const scale = mode === 'nvfp4' ? toFp8(wanted) : powerOf(wanted);
  const factor = scaleValue(scale, mode);
  const x = groups.div(where(factor.eq(0), 1, factor));
  if (mode === 'mxfp8') return { codes: toFp8(x).cast('u32'), scale };
  const size = x.abs();
  // Between two magnitudes the nearer one, at the middle the lower, as MLX does; 0 has no sign.
  const steps = e2m1.slice(1).map((m, i) => size.gt((m + (e2m1[i] as number)) / 2).cast('u32'));
  const code = steps.reduce((a, b) => a.add(b));
  return { codes: where(x.lt(0).logicalAnd(code.ne(0)), code.add(8), code), scale };
}

/** Numbers that the scales u8 of a mode stand for. */
const scaleValue = (scale: NDArray, mode: QuantizeMode): NDArray =>
  mode === 'nvfp4' ? fromFp8(scale, 'f32') : view(scale.cast('u32').leftShift(23), 'f32');

/** The numbers that codes stand for: [..., K]. Biases are of affine codes. */
export function dequantize(
  codes: NDArray,
  scales: NDArray,
  ...given: Given<
    [biases: NDArray, groupSize: number, bits: number, mode: QuantizeMode],
    DequantizeOptions & { readonly biases?: NDArray }
  >
): NDArray {
  const { biases, dtype, ...options } = named<DequantizeOptions & { readonly biases?: NDArray }>(
    'dequantize',
    ['biases', 'groupSize', 'bits', 'mode'],
    given,
    ['dtype'],
  );
  const { groupSize, bits, mode } = formatOf(options, 'dequantize');
  const words = fixed(codes.shape.at(-1), 'dequantize');
  const K = (words * 32) / bits;
  const isAffine = mode === 'affine';
  if (isFloat(scales.dtype) !== isAffine || fixed(scales.shape.at(-1), 'dequantize') * groupSize !== K) {
    throw new IngotError(
      'shape_mismatch',
      `dequantize: scales ${scales.dtype} ${formatShape(scales.shape)} do not fit ${K} columns in groups of ${groupSize}, ${mode}`,
    );
  }
  if (isAffine !== (biases !== undefined)) {
    throw new IngotError('invalid_argument', `dequantize: biases are of affine codes, and those need them`);
  }
  const rows = codes.shape.slice(0, -1);
  const groups = unpacked(codes, bits).reshape([...rows, K / groupSize, groupSize]);
  const wide = (y: NDArray): NDArray => y.reshape([...rows, K / groupSize, 1]);
  const values = isAffine
    ? groups
        .cast(scales.dtype)
        .mul(wide(scales))
        .add(wide(biases as NDArray))
    : (mode === 'mxfp8' ? fromFp8(groups, 'f32') : fromE2m1(groups)).mul(scaleValue(wide(scales), mode));
  return values.reshape([...rows, K]).cast(dtype ?? (isAffine ? values.dtype : 'bf16'));
}

const fromE2m1 = (codes: NDArray): NDArray => fromData([...e2m1, ...e2m1.map((m) => -m)]).take(codes, 0);

/** x times quantised w: x wᵀ for w [N, K] (default), or x w for w [K, N] with `transpose` false. */
export function quantizedMatmul(
  x: NDArray,
  codes: NDArray,
  scales: NDArray,
  ...given: Given<
    [biases: NDArray, transpose: boolean, groupSize: number, bits: number, mode: QuantizeMode],
    QuantizedMatmulOptions & { readonly biases?: NDArray }
  >
): NDArray {
  const { transpose = true, ...options } = named<QuantizedMatmulOptions & { readonly biases?: NDArray }>(
    'quantizedMatmul',
    ['biases', 'transpose', 'groupSize', 'bits', 'mode'],
    given,
  );
  return x.matmul(matrices(codes, scales, transpose, options).cast(x.dtype));
}

function matrices(
  codes: NDArray,
  scales: NDArray,
  transpose: boolean,
  options: QuantizeOptions & { readonly biases?: NDArray },
): NDArray {
  const w = dequantize(codes, scales, options);
  return transpose ? matrixTranspose(w) : w;
}

export interface GatherOptions {
  /** Which of the matrices of the first operand, counted over all its axes but two; default each in its place. */
  readonly lhsIndices?: NDArray;
  /** Which of the matrices of the second. */
  readonly rhsIndices?: NDArray;
  /** Says that the indices ascend; nothing depends on it. */
  readonly sortedIndices?: boolean;
}

/** Products of matrices that indices pick: a [..., M, K] and b [..., K, N] -> [shape of the indices, M, N]. */
export function gatherMm(
  a: NDArray,
  b: NDArray,
  ...given: Given<[lhsIndices: NDArray, rhsIndices: NDArray], GatherOptions>
): NDArray {
  const names = ['lhsIndices', 'rhsIndices'] as const;
  const { lhsIndices, rhsIndices } = named<GatherOptions>('gatherMm', names, given, ['sortedIndices']);
  return picked(a, lhsIndices, 'gatherMm').matmul(picked(b, rhsIndices, 'gatherMm'));
}

/** The matrices that ids name, counted over all axes but the last two. */
function picked(x: NDArray, ids: NDArray | undefined, what: string): NDArray {
  if (x.shape.length < 2) {
    throw new IngotError('shape_mismatch', `${what}: matrices are needed, got ${formatShape(x.shape)}`);
  }
  return ids === undefined ? x : x.reshape([-1, ...x.shape.slice(-2)]).take(ids, 0);
}

/** As quantizedMatmul with the matrices of x and of w that indices pick. */
export function gatherQmm(
  x: NDArray,
  codes: NDArray,
  scales: NDArray,
  ...given: Given<
    [
      biases: NDArray,
      lhsIndices: NDArray,
      rhsIndices: NDArray,
      transpose: boolean,
      groupSize: number,
      bits: number,
      mode: QuantizeMode,
    ],
    QuantizedMatmulOptions & GatherOptions & { readonly biases?: NDArray }
  >
): NDArray {
  const { lhsIndices, rhsIndices, sortedIndices, transpose, biases, ...options } = named<
    QuantizedMatmulOptions & GatherOptions & { readonly biases?: NDArray }
  >('gatherQmm', ['biases', 'lhsIndices', 'rhsIndices', 'transpose', 'groupSize', 'bits', 'mode'], given, [
    'sortedIndices',
  ]);
  const w = (y: NDArray): NDArray => picked(y, rhsIndices, 'gatherQmm');
  const rows = picked(x, lhsIndices, 'gatherQmm');
  return rows.matmul(
    matrices(w(codes), w(scales), transpose ?? true, {
      ...options,
      ...(biases === undefined ? {} : { biases: w(biases) }),
    }).cast(x.dtype),
  );
}
