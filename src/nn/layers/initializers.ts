// How parameters begin: functions from a shape to an array of random or constant numbers, drawn from the keys of `random`.

import type { NDArray } from '../../array/array.ts';
import { full } from '../../array/creation.ts';
import { qr } from '../../array/functions/decompositions.ts';
import { uniform as flat, normal as gaussian } from '../../array/functions/random.ts';
import { diagonal, eye } from '../../array/functions/shape.ts';
import { where } from '../../array/ops/elementwise/where.ts';
import { IngotError } from '../../base/errors.ts';
import { checkShape, formatShape } from '../../base/shape.ts';

export type Initializer = (shape: readonly number[]) => NDArray;

export const constant =
  (value: number): Initializer =>
  (shape) =>
    full(shape, value, 'f32');
export const zeros = constant(0);
export const ones = constant(1);
/** Evenly spread over low … high. */
export const uniform =
  (low = 0, high = 1): Initializer =>
  (shape) =>
    flat(shape, low, high);
/** Normally distributed. */
export const normal =
  (mean = 0, deviation = 1): Initializer =>
  (shape) =>
    gaussian(shape, mean, deviation);

/** Inputs and outputs of a weight `[out, …, in]`; what lies between is the reach of a kernel. */
function fans(shape: readonly number[], what: string): readonly [fanIn: number, fanOut: number] {
  checkShape(shape, what);
  if (shape.length < 2) {
    throw new IngotError(
      'shape_mismatch',
      `${what}: a shape of two axes or more is needed, got ${formatShape(shape)}`,
    );
  }
  const reach = shape.slice(1, -1).reduce((p, d) => p * d, 1);
  return [(shape.at(-1) as number) * reach, (shape[0] as number) * reach];
}

/** Normal with the variance 2 gain² / (in + out): Glorot and Bengio 2010. */
export const glorotNormal =
  (gain = 1): Initializer =>
  (shape) => {
    const [a, b] = fans(shape, 'glorotNormal');
    return gaussian(shape, 0, gain * Math.sqrt(2 / (a + b)));
  };
/** Uniform with the variance of glorotNormal. */
export const glorotUniform =
  (gain = 1): Initializer =>
  (shape) => {
    const [a, b] = fans(shape, 'glorotUniform');
    const limit = gain * Math.sqrt(6 / (a + b));
    return flat(shape, -limit, limit);
  };
/** Normal with the variance gain² / fan: He et al. 2015, https://arxiv.org/abs/1502.01852. */
export const heNormal =
  (mode: 'fanIn' | 'fanOut' = 'fanIn', gain = 1): Initializer =>
  (shape) => {
    const [a, b] = fans(shape, 'heNormal');
    return gaussian(shape, 0, gain / Math.sqrt(mode === 'fanIn' ? a : b));
  };
/** Uniform with the variance of heNormal. */
export const heUniform =
  (mode: 'fanIn' | 'fanOut' = 'fanIn', gain = 1): Initializer =>
  (shape) => {
    const [a, b] = fans(shape, 'heUniform');
    const limit = gain * Math.sqrt(3 / (mode === 'fanIn' ? a : b));
    return flat(shape, -limit, limit);
  };
/** Rows or columns at right angles: Saxe et al. 2013, https://arxiv.org/abs/1312.6120. For weights of two axes. */
export const orthogonal =
  (gain = 1): Initializer =>
  (shape) => {
    checkShape(shape, 'orthogonal');
    const [rows = 0, columns = 0] = shape;
    if (shape.length !== 2) {
      throw new IngotError('shape_mismatch', `orthogonal: a matrix is needed, got ${formatShape(shape)}`);
    }
    const tall = gaussian([Math.max(rows, columns), Math.min(rows, columns)]);
    const [q, r] = qr(tall);
    const even = q.mul(diagonal(r).sign()).mul(gain);
    return rows >= columns ? even : even.transpose();
  };
/** Ones on the diagonal, zeros elsewhere: for square weights. */
export const identity = (): Initializer => (shape) => {
  checkShape(shape, 'identity');
  if (shape.length === 2 && shape[0] === shape[1]) return eye(shape[0] as number);
  throw new IngotError('shape_mismatch', `identity: a square matrix is needed, got ${formatShape(shape)}`);
};
/** Normal, with the part `sparsity` of each row, at random places, 0: Martens 2010. For weights of two axes. */
export const sparse =
  (sparsity: number, mean = 0, deviation = 1): Initializer =>
  (shape) => {
    checkShape(shape, 'sparse');
    if (shape.length !== 2) {
      throw new IngotError('shape_mismatch', `sparse: a matrix is needed, got ${formatShape(shape)}`);
    }
    const zeroed = Math.ceil(sparsity * (shape[1] as number));
    const rank = flat(shape).argsort(1).argsort(1);
    return where(rank.lt(zeroed), 0, gaussian(shape, mean, deviation));
  };
