// Products with parts left out, and of pieces.

import { IngotError } from '../../base/errors.ts';
import { type Dim, formatShape } from '../../base/shape.ts';
import type { NDArray } from '../array.ts';
import { arange } from '../creation.ts';
import { fixed } from '../ops/operands.ts';
import { concat } from '../ops/shape/concat.ts';
import { alongAxis } from './terms.ts';

export interface BlockMasks {
  /** One element for each block of the result, of a, and of b: what is 0 or false leaves the block out, other numbers multiply it. */
  readonly out?: NDArray;
  readonly lhs?: NDArray;
  readonly rhs?: NDArray;
}

/** a b with blocks of `blockSize` by `blockSize` left out or multiplied: a [..., M, K], b [..., K, N], masks [..., rows / blockSize, columns / blockSize]. */
export function blockMaskedMm(a: NDArray, b: NDArray, blockSize = 64, masks: BlockMasks = {}): NDArray {
  const masked = (x: NDArray, mask: NDArray | undefined): NDArray =>
    mask === undefined ? x : x.mul(overBlocks(mask, { size: blockSize, shape: x.shape }).cast(x.dtype));
  return masked(masked(a, masks.lhs).matmul(masked(b, masks.rhs)), masks.out);
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

/** x times the Hadamard matrix of its last axis, whose size is a power of two, times `scale` (default 1 / sqrt(n)). */
export function hadamardTransform(x: NDArray, scale?: number): NDArray {
  const n = fixed(x.shape.at(-1), 'hadamardTransform');
  if (n < 1 || !Number.isInteger(Math.log2(n))) {
    throw new IngotError(
      'invalid_argument',
      `hadamardTransform: the last axis of ${formatShape(x.shape)} is no power of two`,
    );
  }
  let y = x;
  for (let half = 1; half < n; half *= 2) {
    const pairs = y.reshape([...x.shape.slice(0, -1), n / (2 * half), 2, half]);
    const at = pairs.shape.length - 2;
    const [a, b] = [alongAxis(pairs, at, [0, 1]), alongAxis(pairs, at, [1, 2])];
    y = concat([a.add(b), a.sub(b)], at).reshape(x.shape);
  }
  return y.mul(scale ?? 1 / Math.sqrt(n));
}
