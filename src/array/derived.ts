// Functions made of other ops: they fuse, differentiate and run wherever their parts do.

import { isFloat } from '../base/dtype.ts';
import { IngotError } from '../base/errors.ts';
import { checkShape, type Dim, elementCount, formatShape, normalizeAxis, sameShape } from '../base/shape.ts';
import { type Given, named } from './arguments.ts';
import type { NDArray } from './array.ts';
import { maximum } from './ops/elementwise/maximum.ts';
import { where } from './ops/elementwise/where.ts';
import { fixed } from './ops/operands.ts';
import type { Axes } from './ops/reduce/reduce.ts';
import { joinLogs } from './ops/scan/logcumsumexp.ts';
import { concat } from './ops/shape/concat.ts';

const floatsOf = (x: NDArray): NDArray => (isFloat(x.dtype) ? x : x.cast('f32'));

/** max(0, x); the derivative at 0 is 0. */
export const relu = (x: NDArray): NDArray => maximum(0, x);

/** x where positive, `slope` x elsewhere. */
export const leakyRelu = (x: NDArray, slope = 0.01): NDArray => where(x.gt(0), x, x.mul(slope));

/** x where positive, `alpha (exp(x) - 1)` elsewhere. */
export const elu = (x: NDArray, alpha = 1): NDArray => where(x.gt(0), x, x.minimum(0).expm1().mul(alpha));

/** log(1 + exp(x)) without overflow. */
export const softplus = (x: NDArray): NDArray => {
  const down = where(x.gt(0), x.neg(), x); // -|x| with a side's derivative at 0, so that the whole one is 1/2
  return relu(x).add(down.exp().log1p());
};

/** log of the sigmoid. */
export const logSigmoid = (x: NDArray): NDArray => softplus(x.neg()).neg();

/** x tanh(softplus(x)). */
export const mish = (x: NDArray): NDArray => x.mul(softplus(x).tanh());

/** x relu6(x + 3) / 6. */
export const hardSwish = (x: NDArray): NDArray => x.mul(clip(x.add(3), 0, 6)).div(6);

/** The square of relu. */
export const reluSquared = (x: NDArray): NDArray => relu(x).square();

/** `x` held between `low` and `high`; either may be left out. */
export function clip(x: NDArray, low?: number, high?: number): NDArray {
  const above = low === undefined ? x : x.maximum(low);
  return high === undefined ? above : above.minimum(high);
}

/** log(exp(a) + exp(b)) without overflow. */
export const logAddExp = (a: NDArray, b: NDArray): NDArray => joinLogs(floatsOf(a), floatsOf(b));

/** log of the sum of exp(x) over axes, without overflow. */
export function logSumExp(x: NDArray, axes?: Axes, keepDims = false): NDArray {
  const y = floatsOf(x);
  const max = y.max(axes, true);
  const shift = where(max.abs().eq(Number.POSITIVE_INFINITY), 0, max); // an infinity less itself is no number
  const sum = y.sub(shift).exp().sum(axes, keepDims).log();
  return sum.add(keepDims ? shift : shift.reshape(sum.shape));
}

export interface VarianceOptions {
  readonly axis?: Axes;
  readonly keepDims?: boolean;
  /** What is taken from the count that squares are divided by. Default 0. */
  readonly ddof?: number;
}
export type VarianceArguments = Given<[axis: Axes, keepDims: boolean, ddof: number], VarianceOptions>;

/** Mean squared distance from the mean; divided by n - `ddof`, NaN or infinite where that is not above 0. */
export function variance(x: NDArray, ...given: VarianceArguments): NDArray {
  const names = ['axis', 'keepDims', 'ddof'] as const;
  const { axis: axes, keepDims = false, ddof = 0 } = named<VarianceOptions>('var', names, given);
  const squares = x.sub(x.mean(axes, true)).square();
  const mean = squares.mean(axes, keepDims);
  if (ddof === 0) return mean;
  const n = elementCount(x.shape).mul / Math.max(1, elementCount(mean.shape).mul);
  return mean.mul(n / Math.max(n - ddof, 0));
}

/** Square root of the variance. */
export const standardDeviation = (x: NDArray, ...given: VarianceArguments): NDArray =>
  variance(x, ...given).sqrt();

/** A new axis of size 1 before `axis`. */
export function expandDims(x: NDArray, axis: number): NDArray {
  const at = normalizeAxis(axis, x.shape.length + 1, 'expandDims');
  return x.reshape([...x.shape.slice(0, at), 1, ...x.shape.slice(at)]);
}

/** Without axes of size 1: all of them, or `axis`. Throws invalid_argument when that one is longer. */
export function squeeze(x: NDArray, axis?: number | null): NDArray {
  if (axis == null) return x.reshape(x.shape.filter((d) => d !== 1));
  const at = normalizeAxis(axis, x.shape.length, 'squeeze');
  if (x.shape[at] !== 1) {
    throw new IngotError(
      'invalid_argument',
      `squeeze: axis ${axis} of ${formatShape(x.shape)} is not of size 1`,
    );
  }
  return x.reshape(x.shape.filter((_, i) => i !== at));
}

/** Axes `start` to `end` (inclusive) as one. */
export function flatten(x: NDArray, start = 0, end = -1): NDArray {
  if (x.shape.length === 0) return x.reshape([1]);
  const [a, b] = [start, end].map((axis) => normalizeAxis(axis, x.shape.length, 'flatten')) as [
    number,
    number,
  ];
  if (a > b) {
    const range = `axes ${start} to ${end} of ${formatShape(x.shape)}`;
    throw new IngotError('invalid_argument', `flatten: ${range} are in the wrong order`);
  }
  const merged = elementCount(x.shape.slice(a, b + 1));
  if (merged.dyn !== undefined && merged.mul !== 1) {
    throw new IngotError(
      'shape_mismatch',
      `flatten: ${merged.dyn.name} times ${merged.mul} is not a dimension`,
    );
  }
  const size: Dim = merged.dyn ?? merged.mul;
  return x.reshape([...x.shape.slice(0, a), size, ...x.shape.slice(b + 1)]);
}

/** Arrays of one shape along a new axis. */
export function stack(arrays: readonly NDArray[], axis = 0): NDArray {
  const list = Array.isArray(arrays) ? arrays : [];
  const odd = list.find((x) => !sameShape(x.shape, list[0]?.shape ?? []));
  if (odd !== undefined) {
    const [one, first] = [formatShape(odd.shape), formatShape(list[0]?.shape ?? [])];
    throw new IngotError(
      'shape_mismatch',
      `stack: array ${list.indexOf(odd)} has shape ${one}, array 0 ${first}`,
    );
  }
  return concat(
    list.map((x) => expandDims(x, axis)),
    axis,
    'stack',
  );
}

/** `parts` pieces of equal size, or pieces that end at the positions given, along an axis. */
export function split(x: NDArray, parts: number | readonly number[], axis = 0): readonly NDArray[] {
  const at = normalizeAxis(axis, x.shape.length, 'split');
  const n = fixed(x.shape[at], 'split');
  if (typeof parts === 'number' && n % parts !== 0) {
    throw new IngotError('invalid_argument', `split: ${n} elements do not divide into ${parts} equal parts`);
  }
  const ends =
    typeof parts === 'number'
      ? Array.from({ length: parts }, (_, i) => ((i + 1) * n) / parts)
      : [...parts, n];
  return ends.map((end, i) => {
    const start = i === 0 ? 0 : (ends[i - 1] as number);
    return x.slice(...x.shape.map((_, k) => (k === at ? ([start, end] as const) : null)));
  });
}

/** Two axes exchanged. */
export function swapAxes(x: NDArray, a: number, b: number): NDArray {
  const rank = x.shape.length;
  const [i, j] = [normalizeAxis(a, rank, 'swapAxes'), normalizeAxis(b, rank, 'swapAxes')];
  return x.transpose(x.shape.map((_, k) => (k === i ? j : k === j ? i : k)));
}

/** Each element repeated `count` times along an axis; without one, of all elements in their order. */
export function repeat(array: NDArray, count: number, axis?: number | null): NDArray {
  checkShape([count], 'repeat: count');
  const x = axis == null ? array.reshape([-1]) : array;
  const at = normalizeAxis(axis ?? 0, x.shape.length, 'repeat');
  const size = fixed(x.shape[at], 'repeat');
  const [before, after] = [x.shape.slice(0, at + 1), x.shape.slice(at + 1)];
  const wide = expandDims(x, at + 1).broadcastTo([...before, count, ...after]);
  return wide.reshape([...x.shape.slice(0, at), size * count, ...after]);
}
