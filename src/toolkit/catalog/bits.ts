// Bits in words.

import type { NDArray } from '../../array/array.ts';
import { arange } from '../../array/creation.ts';
import { elementwise } from '../elementwise.ts';
import { require } from './common.ts';

const count = (x: NDArray): number => (x.shape as readonly number[]).reduce((a, d) => a * d, 1);

/** Flags as bits of bytes, the first in the lowest bit.
 * @formula byte k = Σ 2^i (x[8 k + i] ≠ 0)
 * @shapes x with 8 n elements -> u8 `[n]`
 * @gradient none: integers
 * @source NumPy's packbits, bitorder little */
export function packBits(x: NDArray): NDArray {
  const n = count(x);
  require(n % 8 === 0, `packBits: ${n} elements do not fill bytes: pad them to a multiple of 8`);
  const bits = x
    .cast('bool')
    .cast('u32')
    .reshape([n / 8, 8]);
  return bits
    .leftShift(arange(8, undefined, 1, 'u32'))
    .sum(1)
    .cast('u8');
}

const bitAt = elementwise('(x >> i) & 1u', { name: 'unpackBits', inputs: ['x', 'i'] });
/** @formula y[8 k + i] = bit i of byte k
 * @shapes x u8 `[n]` -> u8 of 0 and 1 `[8 n]`, or a shape with as many elements or fewer
 * @gradient none: integers
 * @source NumPy's unpackbits, bitorder little */
export function unpackBits(x: NDArray, shape?: readonly number[]): NDArray {
  require(x.dtype === 'u8', `unpackBits: x is ${x.dtype}; it must be u8`);
  const n = count(x);
  const bits = bitAt(x.reshape([n, 1]), arange(8, undefined, 1, 'u32'))
    .reshape([8 * n])
    .cast('u8');
  if (shape === undefined) return bits;
  const wanted = shape.reduce((a, d) => a * d, 1);
  require(wanted <= 8 * n, `unpackBits: ${8 * n} bits do not fill [${shape.join(', ')}]`);
  return bits.slice([0, wanted]).reshape(shape);
}

const ones = elementwise(
  `let a = x - ((x >> 1u) & 0x55555555u);
   let b = (a & 0x33333333u) + ((a >> 2u) & 0x33333333u);
   (((b + (b >> 4u)) & 0x0f0f0f0fu) * 0x01010101u) >> 24u`,
  { name: 'popcount' },
);
/** @formula number of bits of x that are 1
 * @shapes u32 `[…]` -> u32 `[…]`
 * @gradient none: integers
 * @source https://graphics.stanford.edu/~seander/bithacks.html */
export const popcount = (x: NDArray): NDArray => ones(x.cast('u32'));

/** Distance of two rows of words, as binary embeddings are compared.
 * @formula Σ popcount(a xor b)
 * @shapes a, b u32 `[…, D]` -> u32 `[…]`
 * @gradient none: integers
 * @source https://doi.org/10.1002/j.1538-7305.1950.tb00463.x */
export const hammingDistance = (a: NDArray, b: NDArray): NDArray =>
  popcount(a.cast('u32').bitwiseXor(b.cast('u32'))).sum(-1);
