// Products with parts left out, and of pieces.

import { IngotError } from '../../base/errors.ts';
import { type Dim, formatShape } from '../../base/shape.ts';
import { type Given, named } from '../arguments.ts';
import type { NDArray } from '../array.ts';
import { arange, fromData } from '../creation.ts';
import { fixed } from '../ops/operands.ts';
import { concat } from '../ops/shape/concat.ts';
import { alongAxis } from './terms.ts';

export interface BlockMasks {
  /** One element for each block of the result, of a, and of b: what is 0 or false leaves the block out, other numbers multiply it. */
  readonly maskOut?: NDArray;
  readonly maskLhs?: NDArray;
  readonly maskRhs?: NDArray;
}

/** a b with blocks of `blockSize` by `blockSize` left out or multiplied: a [..., M, K], b [..., K, N], masks [..., rows / blockSize, columns / blockSize]. */
export function blockMaskedMm(
  a: NDArray,
  b: NDArray,
  ...given: Given<
    [blockSize: number, maskOut: NDArray, maskLhs: NDArray, maskRhs: NDArray],
    BlockMasks & { readonly blockSize?: number }
  >
): NDArray {
  const { blockSize = 64, ...masks } = named<BlockMasks & { readonly blockSize?: number }>(
    'blockMaskedMm',
    ['blockSize', 'maskOut', 'maskLhs', 'maskRhs'],
    given,
  );
  const masked = (x: NDArray, mask: NDArray | undefined): NDArray =>
    mask === undefined ? x : x.mul(overBlocks(mask, { size: blockSize, shape: x.shape }).cast(x.dtype));
  return masked(masked(a, masks.maskLhs).matmul(masked(b, masks.maskRhs)), masks.maskOut);
}

/** Each element of a mask over its block. */
function overBlocks(
  mask: NDArray,
  { size, shape }: { readonly size: number; readonly shape: readonly Dim[] },
): NDArray {
  return [-2, -1].reduce<NDArray>((m, axis) => {
    const at = m.shape.length + axis;
    const length = fixed(shape.at(axis), 'blockMaskedMm');
    if (fixed(m.shape[at], 'blockMaskedMm') !== Math.ceil(length / size)) {
      throw new IngotError(
        'shape_mismatch',
        `blockMaskedMm: the mask ${formatShape(mask.shape)} has not one element for each block of ${size} of ${formatShape(shape)}`,
      );
    }
    return m.take(arange(length).floorDivide(size), at);
  }, mask);
}

/** Products of pieces of the inner axis: a [M, K], b [K, N] and segments [..., 2] of starts and ends -> [..., M, N]. */
export function segmentedMm(a: NDArray, b: NDArray, segments: NDArray): NDArray {
  if (segments.shape.at(-1) !== 2 || a.shape.length !== 2 || b.shape.length !== 2) {
    throw new IngotError(
      'shape_mismatch',
      `segmentedMm: two matrices and segments [..., 2] are needed, got ${formatShape(a.shape)}, ${formatShape(b.shape)} and ${formatShape(segments.shape)}`,
    );
  }
  const edge = (i: number): NDArray =>
    alongAxis(segments, segments.shape.length - 1, [i, i + 1]).reshape([
      ...segments.shape.slice(0, -1),
      1,
      1,
    ]);
  const k = arange(fixed(a.shape[1], 'segmentedMm'));
  const inside = k.ge(edge(0).cast('i32')).logicalAnd(k.lt(edge(1).cast('i32')));
  return a.mul(inside.cast(a.dtype)).matmul(b);
}

/**
 * Hadamard matrices of sizes that are no powers of two (https://neilsloane.com/hadamard), by rows: a bit of a hexadecimal number is
 * 1 where the element is -1.
 */
const hadamard: Readonly<Record<number, string>> = {
  12: '400 d55 13c 769 04f 5da 313 676 3c4 69d 0f1 5a7',
  20: '7bcc9 bdc74 dee2a ef705 f7992 83ec6 45d63 26eb1 17758 0f9ac ca5f0 e52e8 72b64 397a2 9cbc1 b65ef 5f2f7 abb7b d1fbd 6cfde',
  28: '7e796b3 be3eb59 df1d5ec ef8eab6 f7c751b fbe1acd fcf2d66 c2fe62d e17d356 71bc9ab 39de4d5 1def26a 0ff5935 87f8cda a4cdfe1 5366ff0 a9b37b8 54dbb9c 2a6fd8e 9537e87 4b9bf43 9948f3f 4ca47df 27523ef 92ab1f7 c8578fb 652bc7d 3295e7e',
};

function hadamardMatrix(m: number): NDArray {
  const rows = (hadamard[m] ?? '').split(/\s+/);
  const digit = (row: string, j: number): number => {
    const bit = row.length * 4 - m + j;
    return (Number.parseInt(row[bit >> 2] ?? '0', 16) >> (3 - (bit & 3))) & 1;
  };
  return fromData(rows.map((row) => Array.from({ length: m }, (_, j) => (digit(row, j) === 1 ? -1 : 1))));
}

/**
 * x times the Hadamard matrix of its last axis, whose size is a power of two, or 12, 20 or 28 times one, times `scale` (default
 * 1 / sqrt(n)).
 */
export function hadamardTransform(
  x: NDArray,
  ...given: Given<[scale: number], { readonly scale?: number }>
): NDArray {
  const { scale } = named<{ scale?: number }>('hadamardTransform', ['scale'], given);
  const n = fixed(x.shape.at(-1), 'hadamardTransform');
  const m = [1, 12, 20, 28].find((factor) => n >= factor && Number.isInteger(Math.log2(n / factor)));
  if (m === undefined) {
    throw new IngotError(
      'invalid_argument',
      `hadamardTransform: the last axis of ${formatShape(x.shape)} is no power of two times 1, 12, 20 or 28`,
    );
  }
  const rows = x.reshape([...x.shape.slice(0, -1), m, n / m]);
  let y = m === 1 ? x : hadamardMatrix(m).cast(x.dtype).matmul(rows).reshape(x.shape);
  for (let half = 1; half < n / m; half *= 2) {
    const pairs = y.reshape([...x.shape.slice(0, -1), n / (2 * half), 2, half]);
    const at = pairs.shape.length - 2;
    const [a, b] = [alongAxis(pairs, at, [0, 1]), alongAxis(pairs, at, [1, 2])];
    y = concat([a.add(b), a.sub(b)], at).reshape(x.shape);
  }
  return y.mul(scale ?? 1 / Math.sqrt(n));
}
