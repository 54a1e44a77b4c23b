// Random arrays from keys: the same key gives the same numbers on every device, and keys split into independent ones. The
// generator is Threefry-2x32 with 20 rounds (Salmon et al. 2011, https://doi.org/10.1145/2063384.2063405), laid out as MLX does.

import type { DType, FloatDType } from '../../base/dtype.ts';
import { IngotError } from '../../base/errors.ts';
import { broadcastShapes, checkShape, formatShape, normalizeAxis, type Shape } from '../../base/shape.ts';
import type { NDArray } from '../array.ts';
import { arange, fromData, full } from '../creation.ts';
import type { Term } from '../ops/elementwise/elementwise.ts';
import { fixed } from '../ops/operands.ts';
import { concat } from '../ops/shape/concat.ts';
import { svd } from './decompositions.ts';
import { erfinv } from './special.ts';
import { alongAxis, toArray, toFloats } from './terms.ts';

const rotations = [
  [13, 15, 26, 6],
  [17, 29, 16, 24],
] as const;

const rotate = (x: NDArray, r: number): NDArray => x.leftShift(r).bitwiseOr(x.rightShift(32 - r));

/** The hash of pairs of counters under a key [2]. */
function threefry(key: NDArray, a: NDArray, b: NDArray): readonly [NDArray, NDArray] {
  const [k0, k1] = [alongAxis(key, 0, [0, 1]), alongAxis(key, 0, [1, 2])];
  const keys = [k0, k1, k0.bitwiseXor(k1).bitwiseXor(0x1bd11bda)] as const;
  let [x, y] = [a.add(k0), b.add(k1)];
  for (let i = 0; i < 5; i++) {
    for (const r of rotations[i % 2] ?? []) {
      x = x.add(y);
      y = rotate(y, r).bitwiseXor(x);
    }
    x = x.add(keys[(i + 1) % 3] as NDArray);
    y = y.add(keys[(i + 2) % 3] as NDArray).add(i + 1);
  }
  return [x, y];
}

/** The key of a seed, a whole number from 0 to 2^53: u32 [2]. */
export function key(seed: number): NDArray {
  if (!Number.isSafeInteger(seed) || seed < 0) {
    throw new IngotError(
      'invalid_argument',
      `random.key: the seed ${seed} is not a whole number from 0 to 2^53`,
    );
  }
  return fromData(Uint32Array.of(Math.floor(seed / 2 ** 32), seed % 2 ** 32));
}

/** Where functions without a key take the next one from: numbers of a seed, or an array. */
let sequence: { readonly from: number | NDArray; drawn: number } = { from: 0, drawn: 0 };

/** Starts the keys that functions take when they are given none. */
export function seed(value: number): void {
  key(value).dispose();
  sequence = { from: value, drawn: 0 };
}

/**
 * Runs `fn`, in which functions without a key draw from `from`, one after the other. In a compiled function, whose own sequence would be
 * the same in every run, this lets a key that is an input or a State decide.
 */
export function withKey<T>(from: NDArray, fn: () => T): T {
  const before = sequence;
  sequence = { from: keyOf(from), drawn: 0 };
  try {
    return fn();
  } finally {
    sequence = before;
  }
}

/** A counter: a number of shape [] does not make a program of its own. */
const word = (n: number): NDArray => full([], n, 'u32').reshape([1]);

/** The key given, or the next of the sequence. */
function keyOf(given: NDArray | undefined): NDArray {
  if (given !== undefined) {
    if (given.dtype === 'u32' && given.shape.length === 1 && given.shape[0] === 2) return given;
    throw new IngotError(
      'invalid_argument',
      `random: a key is u32 [2], got ${given.dtype} ${formatShape(given.shape)}`,
    );
  }
  const n = sequence.drawn++;
  const { from } = sequence;
  const [x, y] = threefry(typeof from === 'number' ? key(from) : from, word(n), word(0xffffffff));
  return concat([x, y], 0);
}

/** A key for each number, such as that of a step, from one key. */
export function foldIn(from: NDArray, n: NDArray | number): NDArray {
  const low = typeof n === 'number' ? word(n) : n.cast('u32').reshape([1]);
  const [x, y] = threefry(keyOf(from), full([1], 0, 'u32'), low);
  return concat([x, y], 0);
}

/** `count` independent keys from one: u32 [count, 2]. */
export const split = (from: NDArray, count = 2): NDArray => bits([count, 2], from);

/** Random 32-bit words. */
export function bits(shape: Shape, from?: NDArray): NDArray {
  checkShape(shape, 'random.bits');
  const n = shape.reduce<number>((p, d) => p * fixed(d, 'random.bits'), 1);
  const k = keyOf(from);
  const half = n >> 1;
  const odd = n % 2;
  const pieces: NDArray[] = [];
  if (half > 0) {
    const count = arange(half, undefined, 1, 'u32');
    const [x, y] = threefry(k, count, count.add(half + odd));
    pieces.push(x, y);
  }
  if (odd === 1) {
    const [middle] = threefry(k, full([1], half, 'u32'), full([1], 0, 'u32'));
    pieces.splice(pieces.length === 0 ? 0 : 1, 0, middle);
  }
  return pieces.length === 0 ? full(shape, 0, 'u32') : concat(pieces, 0).reshape(shape);
}

export interface RandomOptions {
  readonly key?: NDArray;
  readonly dtype?: FloatDType;
}

/** Numbers evenly spread over [low, high). */
export function uniform(
  shape: Shape,
  low: Term = 0,
  high: Term = 1,
  { key: k, dtype = 'f32' }: RandomOptions = {},
): NDArray {
  const below1 = 1 - 2 ** -24;
  const unit = bits(shape, k).cast('f32').div(4294967295).minimum(below1);
  const [a, b] = [toFloats(low), toFloats(high)];
  return unit.mul(b.sub(a)).add(a).cast(dtype);
}

/** Numbers of a normal distribution. */
export const normal = (
  shape: Shape,
  mean: Term = 0,
  deviation: Term = 1,
  { key: k, dtype = 'f32' }: RandomOptions = {},
): NDArray =>
  erfinv(uniform(shape, -1 + 2 ** -24, 1, k === undefined ? {} : { key: k }))
    .mul(Math.SQRT2)
    .mul(toFloats(deviation))
    .add(toFloats(mean))
    .cast(dtype);

/** A normal distribution cut to low … high. */
export function truncatedNormal(
  low: Term,
  high: Term,
  shape: Shape,
  { key: k, dtype = 'f32' }: RandomOptions = {},
): NDArray {
  const [a, b] = [toFloats(low), toFloats(high)];
  const edge = (x: NDArray): NDArray => x.div(Math.SQRT2).erf();
  const u = uniform(shape, edge(a), edge(b), k === undefined ? {} : { key: k });
  return erfinv(u).mul(Math.SQRT2).maximum(a).minimum(b).cast(dtype);
}

/** True with probability p, which broadcasts to the shape (default that of p). */
export const bernoulli = (p: Term = 0.5, shape: Shape = toArray(p).shape, k?: NDArray): NDArray =>
  uniform(shape, 0, 1, k === undefined ? {} : { key: k }).lt(toFloats(p));

/** Numbers of the standard Gumbel distribution. */
export const gumbel = (shape: Shape, { key: k, dtype = 'f32' }: RandomOptions = {}): NDArray =>
  uniform(shape, 0, 1, k === undefined ? {} : { key: k })
    .log()
    .neg()
    .log()
    .neg()
    .cast(dtype);

/** Numbers of a Laplace distribution. */
export function laplace(
  shape: Shape,
  mean: Term = 0,
  scale: Term = 1,
  { key: k, dtype = 'f32' }: RandomOptions = {},
): NDArray {
  const u = uniform(shape, -1 + 2 ** -24, 1, k === undefined ? {} : { key: k });
  return u.sign().mul(u.abs().neg().log1p()).mul(toFloats(scale)).add(toFloats(mean)).cast(dtype);
}

/** Numbers of an exponential distribution of this rate. */
export const exponential = (
  shape: Shape,
  rate: Term = 1,
  { key: k, dtype = 'f32' }: RandomOptions = {},
): NDArray =>
  uniform(shape, 0, 1, k === undefined ? {} : { key: k })
    .neg()
    .log1p()
    .neg()
    .div(toFloats(rate))
    .cast(dtype);

/** Integers from low to high - 1. */
export const randint = (low: Term, high: Term, shape: Shape, dtype: DType = 'i32', k?: NDArray): NDArray =>
  uniform(shape, low, high, k === undefined ? {} : { key: k })
    .floor()
    .maximum(toFloats(low))
    .cast(dtype);

/** An index along `axis` drawn by logits that need not be normalised; one for each of the other places, or `count` of them last. */
export function categorical(logits: NDArray, axis = -1, count?: number, k?: NDArray): NDArray {
  const at = normalizeAxis(axis, logits.shape.length, 'random.categorical');
  const options = k === undefined ? {} : { key: k };
  if (count === undefined) return logits.add(gumbel(logits.shape, options)).argmax(at);
  const wide = logits.reshape([...logits.shape, 1]);
  return wide.add(gumbel([...logits.shape, count], options)).argmax(at);
}

/** 0 … n - 1, or the pieces of an array along `axis`, in random order. */
export function permutation(x: number | NDArray, axis = 0, k?: NDArray): NDArray {
  const n =
    typeof x === 'number'
      ? x
      : fixed(x.shape[normalizeAxis(axis, x.shape.length, 'random.permutation')], 'random.permutation');
  const order = bits([n], k).argsort();
  return typeof x === 'number' ? order : x.take(order, axis);
}

/** Vectors [..., n] of a normal distribution with these means [..., n] and covariances [..., n, n], which are positive semi-definite. */
export function multivariateNormal(
  mean: NDArray,
  cov: NDArray,
  shape?: Shape,
  { key: k, dtype = 'f32' }: RandomOptions = {},
): NDArray {
  const n = fixed(mean.shape.at(-1), 'random.multivariateNormal');
  const batch =
    shape ?? broadcastShapes(mean.shape.slice(0, -1), cov.shape.slice(0, -2), 'multivariateNormal');
  const [u, s] = svd(cov);
  const root = u.mul(s.sqrt().reshape([...s.shape.slice(0, -1), 1, n]));
  const z = normal([...batch, n, 1], 0, 1, k === undefined ? {} : { key: k });
  return root
    .matmul(z)
    .reshape([...batch, n])
    .add(toFloats(mean))
    .cast(dtype);
}
