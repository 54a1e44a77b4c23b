// The namespace `quantized`: groups of a row as codes of 2, 4 or 8 bits with a scale and a bias each, packed into u32, as MLX does.

import { isFloat } from '../../base/dtype.ts';
import { IngotError } from '../../base/errors.ts';
import { formatShape } from '../../base/shape.ts';
import type { NDArray } from '../array.ts';
import { arange } from '../creation.ts';
import { where } from '../ops/elementwise/where.ts';
import { fixed } from '../ops/operands.ts';
import { toFloats } from './terms.ts';

export interface QuantizeOptions {
  /** Elements that share a scale; default 64. */
  readonly groupSize?: number;
  /** 2, 4 (default) or 8. */
  readonly bits?: number;
}

function checkOptions(columns: number, { groupSize = 64, bits = 4 }: QuantizeOptions, what: string) {
  if (![2, 4, 8].includes(bits))
    throw new IngotError('invalid_argument', `${what}: ${bits} bits are not 2, 4 or 8`);
  if (columns % groupSize !== 0 || groupSize % (32 / bits) !== 0) {
    throw new IngotError(
      'shape_mismatch',
      `${what}: ${columns} columns do not divide into groups of ${groupSize}`,
    );
  }
  return { groupSize, bits, perWord: 32 / bits, top: 2 ** bits - 1 };
}

/** Codes [..., K bits / 32], scales and biases [..., K / groupSize] of w [..., K]: w ≈ scale code + bias. */
export function quantize(
  w: NDArray,
  options: QuantizeOptions = {},
): readonly [codes: NDArray, scales: NDArray, biases: NDArray] {
  const x = toFloats(w);
  const K = fixed(x.shape.at(-1), 'quantize');
  const { groupSize, perWord, bits, top } = checkOptions(K, options, 'quantize');
  const rows = x.shape.slice(0, -1);
  const groups = x.reshape([...rows, K / groupSize, groupSize]);
  const [high, low] = [groups.max(-1, true), groups.min(-1, true)];
  const fromBelow = low.abs().gt(high.abs());
  const step = high.sub(low).div(top).maximum(1e-7);
  const signed = where(fromBelow, step, step.neg());
  const edge = where(fromBelow, low, high);
  const atEdge = edge.div(signed).round();
  const scale = where(atEdge.ne(0), edge.div(where(atEdge.eq(0), 1, atEdge)), signed);
  const bias = where(atEdge.eq(0), 0, edge);
  const codes = groups.sub(bias).div(scale).round().maximum(0).minimum(top).cast('u32');
  const words = codes
    .reshape([...rows, K / perWord, perWord])
    .leftShift(arange(perWord, undefined, 1, 'u32').mul(bits));
  const flat = (y: NDArray): NDArray => y.reshape([...rows, K / groupSize]).cast(x.dtype);
  return [words.sum(-1), flat(scale), flat(bias)];
}

/** The numbers that codes stand for: [..., K]. */
export function dequantize(
  codes: NDArray,
  scales: NDArray,
  biases: NDArray,
  options: QuantizeOptions = {},
): NDArray {
  const bits = options.bits ?? 4;
  const words = fixed(codes.shape.at(-1), 'dequantize');
  const { groupSize, perWord, top } = checkOptions((words * 32) / bits, options, 'dequantize');
  const K = words * perWord;
  const rows = codes.shape.slice(0, -1);
  if (!isFloat(scales.dtype) || scales.shape.at(-1) !== K / groupSize) {
    throw new IngotError(
      'shape_mismatch',
      `dequantize: scales ${scales.dtype} ${formatShape(scales.shape)} do not fit ${K} columns in groups of ${groupSize}`,
    );
  }
  const spread = codes
    .reshape([...codes.shape, 1])
    .rightShift(arange(perWord, undefined, 1, 'u32').mul(bits))
    .bitwiseAnd(top);
  const groups = spread.reshape([...rows, K / groupSize, groupSize]).cast(scales.dtype);
  const wide = (y: NDArray): NDArray => y.reshape([...rows, K / groupSize, 1]);
  return groups
    .mul(wide(scales))
    .add(wide(biases))
    .reshape([...rows, K]);
}

/** x times quantised w: x wᵀ for w [N, K] (default), or x w for w [K, N] with `transpose` false. */
export function quantizedMatmul(
  x: NDArray,
  codes: NDArray,
  scales: NDArray,
  biases: NDArray,
  { transpose = true, ...options }: QuantizeOptions & { readonly transpose?: boolean } = {},
): NDArray {
  const w = dequantize(codes, scales, biases, options);
  const rank = w.shape.length;
  return x.matmul(
    transpose ? w.transpose([...w.shape.map((_, i) => i).slice(0, -2), rank - 1, rank - 2]) : w,
  );
}

/** x[..., M, K] times the matrix that `ids` picks for each of its matrices from w [E, K, N]. */
export const gatherMm = (x: NDArray, w: NDArray, ids: NDArray): NDArray => x.matmul(w.take(ids, 0));

/** As quantizedMatmul with the matrices of w [E, N, K] that `ids` picks. */
export const gatherQmm = (
  x: NDArray,
  codes: NDArray,
  scales: NDArray,
  biases: NDArray,
  ids: NDArray,
  options: QuantizeOptions & { readonly transpose?: boolean } = {},
): NDArray => quantizedMatmul(x, codes.take(ids, 0), scales.take(ids, 0), biases.take(ids, 0), options);
