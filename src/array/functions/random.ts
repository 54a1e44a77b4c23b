// Random arrays from keys: the same key gives the same numbers on every device, and keys split into independent ones. The
// generator is Threefry-2x32 with 20 rounds (Salmon et al. 2011, https://doi.org/10.1145/2063384.2063405), laid out as MLX does.

import type { DType, FloatDType } from '../../base/dtype.ts';
import { IngotError } from '../../base/errors.ts';
import {
  broadcastShapes,
  checkShape,
  type Dim,
  formatShape,
  normalizeAxis,
  type Shape,
  sameShape,
} from '../../base/shape.ts';
import { type Given, isOptions, named } from '../arguments.ts';
import type { NDArray } from '../array.ts';
import { arange, fromData, full } from '../creation.ts';
import type { Term } from '../ops/elementwise/elementwise.ts';
import { fixed } from '../ops/operands.ts';
import { concat } from '../ops/shape/concat.ts';
import { thinSvd } from './decompositions.ts';
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
/** Of distributions with a place and a width. */
export interface LocatedOptions extends RandomOptions {
  /** Mean; default 0. */
  readonly loc?: Term;
  /** Standard deviation of normal, factor of laplace; default 1. */
  readonly scale?: Term;
}
export interface UniformOptions extends RandomOptions {
  readonly low?: Term;
  readonly high?: Term;
  readonly shape?: Shape;
}

const keyed = (key: NDArray | undefined): RandomOptions => (key === undefined ? {} : { key });

/** The shape given, or the one that the operands broadcast to. */
const shapeOf = (shape: Shape | undefined, ...of: readonly Term[]): Shape =>
  shape ?? of.reduce<Shape>((s, x) => broadcastShapes(s, toArray(x).shape, 'random'), []);

/** Numbers evenly spread over [low, high), by default [0, 1). The shape may come first, or after the bounds as in MLX. */
export function uniform(shape: Shape, low?: Term, high?: Term, options?: RandomOptions): NDArray;
export function uniform(
  low: Term,
  high?: Term,
  shape?: Shape | UniformOptions,
  dtype?: FloatDType | UniformOptions | null,
  key?: NDArray,
): NDArray;
export function uniform(options: UniformOptions): NDArray;
export function uniform(...given: readonly unknown[]): NDArray {
  const names = ['low', 'high', 'shape', 'dtype', 'key'] as const;
  const order = Array.isArray(given[0]) ? (['shape', 'low', 'high'] as const) : names;
  const options = named<UniformOptions>('random.uniform', order, given, [...names]);
  const { low = 0, high = 1, dtype = 'f32', key: k } = options;
  const below1 = 1 - 2 ** -24;
  const unit = bits(shapeOf(options.shape, low, high), k)
    .cast('f32')
    .div(4294967295)
    .minimum(below1);
  const [a, b] = [toFloats(low), toFloats(high)];
  return unit.mul(b.sub(a)).add(a).cast(dtype);
}

/** Place and width one after the other, or after the dtype as in MLX. */
function located(what: string, given: readonly unknown[]): LocatedOptions {
  const [first] = given;
  const mlx = first == null || typeof first === 'string' || isOptions(first);
  const names = ['dtype', 'loc', 'scale', 'key'] as const;
  return named<LocatedOptions>(what, mlx ? names : ['loc', 'scale'], given, [...names]);
}

/** Numbers of a normal distribution. */
export function normal(shape?: Shape, options?: LocatedOptions): NDArray;
export function normal(shape: Shape, loc: Term, scale?: Term, options?: RandomOptions): NDArray;
export function normal(
  shape: Shape,
  dtype: FloatDType | null,
  loc?: Term | LocatedOptions | null,
  scale?: Term | LocatedOptions | null,
  key?: NDArray,
): NDArray;
export function normal(shape: Shape = [], ...given: readonly unknown[]): NDArray {
  const { loc = 0, scale = 1, dtype = 'f32', key: k } = located('random.normal', given);
  const unit = erfinv(uniform(shape, -1 + 2 ** -24, 1, keyed(k))).mul(Math.SQRT2);
  return unit.mul(toFloats(scale)).add(toFloats(loc)).cast(dtype);
}

/** A normal distribution cut to low … high. The shape is by default that of the bounds. */
export function truncatedNormal(
  low: Term,
  high: Term,
  ...given: Given<[shape: Shape, dtype: FloatDType, key: NDArray], RandomOptions & { readonly shape?: Shape }>
): NDArray {
  const options = named<RandomOptions & { readonly shape?: Shape }>(
    'random.truncatedNormal',
    ['shape', 'dtype', 'key'],
    given,
  );
  const [a, b] = [toFloats(low), toFloats(high)];
  const edge = (x: NDArray): NDArray => x.div(Math.SQRT2).erf();
  const u = uniform(shapeOf(options.shape, a, b), edge(a), edge(b), keyed(options.key));
  return erfinv(u)
    .mul(Math.SQRT2)
    .maximum(a)
    .minimum(b)
    .cast(options.dtype ?? 'f32');
}

/** True with probability p, which broadcasts to the shape (default that of p). */
export function bernoulli(
  p: Term | BernoulliOptions = 0.5,
  ...given: Given<[shape: Shape, key: NDArray], BernoulliOptions>
): NDArray {
  if (isOptions(p)) return bernoulli(0.5, p as BernoulliOptions);
  const { shape, key: k } = named<BernoulliOptions>('random.bernoulli', ['shape', 'key'], given);
  return uniform(shapeOf(shape, p as Term), 0, 1, keyed(k)).lt(toFloats(p as Term));
}
export interface BernoulliOptions {
  readonly shape?: Shape;
  readonly key?: NDArray;
}

/** Numbers of the standard Gumbel distribution. */
export function gumbel(
  shape: Shape = [],
  ...given: Given<[dtype: FloatDType, key: NDArray], RandomOptions>
): NDArray {
  const { key: k, dtype = 'f32' } = named<RandomOptions>('random.gumbel', ['dtype', 'key'], given);
  const negative = (x: NDArray): NDArray => x.log().neg();
  return negative(negative(uniform(shape, 0, 1, keyed(k)))).cast(dtype);
}

/** Numbers of a Laplace distribution. */
export function laplace(shape?: Shape, options?: LocatedOptions): NDArray;
export function laplace(shape: Shape, loc: Term, scale?: Term, options?: RandomOptions): NDArray;
export function laplace(
  shape: Shape,
  dtype: FloatDType | null,
  loc?: Term | LocatedOptions | null,
  scale?: Term | LocatedOptions | null,
  key?: NDArray,
): NDArray;
export function laplace(shape: Shape = [], ...given: readonly unknown[]): NDArray {
  const { loc = 0, scale = 1, dtype = 'f32', key: k } = located('random.laplace', given);
  const u = uniform(shape, -1 + 2 ** -24, 1, keyed(k));
  return u.sign().mul(u.abs().neg().log1p()).mul(toFloats(scale)).add(toFloats(loc)).cast(dtype);
}

/** Numbers of an exponential distribution of this rate. */
export const exponential = (
  shape: Shape,
  rate: Term = 1,
  { key: k, dtype = 'f32' }: RandomOptions = {},
): NDArray => uniform(shape, 0, 1, keyed(k)).neg().log1p().neg().div(toFloats(rate)).cast(dtype);

/** Integers from low to high - 1. The shape is by default that of the bounds. */
export function randint(
  low: Term,
  high: Term,
  ...given: Given<[shape: Shape, dtype: DType, key: NDArray], RandintOptions>
): NDArray {
  const names = ['shape', 'dtype', 'key'] as const;
  const { shape, dtype = 'i32', key: k } = named<RandintOptions>('random.randint', names, given);
  return uniform(shapeOf(shape, low, high), low, high, keyed(k))
    .floor()
    .maximum(toFloats(low))
    .cast(dtype);
}
export interface RandintOptions {
  readonly shape?: Shape;
  readonly dtype?: DType;
  readonly key?: NDArray;
}

export interface CategoricalOptions {
  readonly axis?: number;
  /** Of the result; ends with the shape of the logits without the axis. */
  readonly shape?: Shape;
  /** That many for each place, along a new last axis. */
  readonly numSamples?: number;
  readonly key?: NDArray;
}

/**
 * An index along `axis` (default the last) drawn by logits that need not be normalised: one for each of the other places, `numSamples`
 * of them, or as many as a shape has. The count may stand in the place of the shape.
 */
export function categorical(
  logits: NDArray,
  ...given:
    | Given<[axis: number, shape: Shape, numSamples: number, key: NDArray], CategoricalOptions>
    | readonly [axis?: number, numSamples?: number, key?: NDArray]
): NDArray {
  const names = ['axis', 'shape', 'numSamples', 'key'] as const;
  const counted = typeof given[1] === 'number' || (given[2] != null && typeof given[2] === 'object');
  const order = counted && !isOptions(given[2]) ? (['axis', 'numSamples', 'key'] as const) : names;
  const options = named<CategoricalOptions>('random.categorical', order, given, [...names]);
  const { axis = -1, shape, numSamples: count } = options;
  const at = normalizeAxis(axis, logits.shape.length, 'random.categorical');
  const k = keyed(options.key);
  if (shape !== undefined) {
    const others = logits.shape.filter((_, i) => i !== at);
    const ends = shape.slice(shape.length - others.length);
    if (count !== undefined || !sameShape(broadcastShapes(ends, others, 'random.categorical'), ends)) {
      throw new IngotError(
        'shape_mismatch',
        `random.categorical: shape ${formatShape(shape)} does not end with ${formatShape(others)}` +
          (count === undefined ? '' : ', and numSamples is given, too'),
      );
    }
    const from = at - logits.shape.length;
    const wide = [...shape];
    wide.splice(wide.length + from + 1, 0, logits.shape[at] as Dim);
    return logits.add(gumbel(wide, k)).argmax(from);
  }
  if (count === undefined) return logits.add(gumbel(logits.shape, k)).argmax(at);
  const wide = logits.reshape([...logits.shape, 1]);
  return wide.add(gumbel([...logits.shape, count], k)).argmax(at);
}

/** 0 … n - 1, or the pieces of an array along `axis`, in random order. */
export function permutation(
  x: number | NDArray,
  ...given: Given<[axis: number, key: NDArray], { readonly axis?: number; readonly key?: NDArray }>
): NDArray {
  const { axis = 0, key: k } = named<{ axis?: number; key?: NDArray }>(
    'random.permutation',
    ['axis', 'key'],
    given,
  );
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
  ...given: Given<[shape: Shape, dtype: FloatDType, key: NDArray], RandomOptions & { readonly shape?: Shape }>
): NDArray {
  const {
    shape,
    key: k,
    dtype = 'f32',
  } = named<RandomOptions & { readonly shape?: Shape }>(
    'random.multivariateNormal',
    ['shape', 'dtype', 'key'],
    given,
  );
  const n = fixed(mean.shape.at(-1), 'random.multivariateNormal');
  const batch =
    shape ?? broadcastShapes(mean.shape.slice(0, -1), cov.shape.slice(0, -2), 'multivariateNormal');
  const [u, s] = thinSvd(cov);
  const root = u.mul(s.sqrt().reshape([...s.shape.slice(0, -1), 1, n]));
  const z = normal([...batch, n, 1], 0, 1, keyed(k));
  return root
    .matmul(z)
    .reshape([...batch, n])
    .add(toFloats(mean))
    .cast(dtype);
}
