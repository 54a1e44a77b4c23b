// More ways to order, cut and count: partitions, uneven pieces, common divisors, strided views.

import { isFloat } from '../../base/dtype.ts';
import { IngotError } from '../../base/errors.ts';
import { formatShape, normalizeAxis } from '../../base/shape.ts';
import type { NDArray } from '../array.ts';
import { arange } from '../creation.ts';
import { expandDims as expandOne, squeeze as squeezeOne } from '../derived.ts';
import { lift, someArray, type Term } from '../ops/elementwise/elementwise.ts';
import { where } from '../ops/elementwise/where.ts';
import { fixed } from '../ops/operands.ts';
import { concat } from '../ops/shape/concat.ts';
import { alongAxis, axisOf, integers, overAxis, toArray } from './terms.ts';

/** `x` along `axis` with element `kth` where sorting would put it, smaller ones before it: sorted altogether. */
export function partition(x: NDArray, kth: number, axis: number | null = -1): NDArray {
  return overAxis(x, axis ?? undefined, (y, a) => {
    checkPlace(y, kth, a, 'partition');
    return y.sort(a);
  });
}
/** Positions that partition `x`. */
export function argpartition(x: NDArray, kth: number, axis: number | null = -1): NDArray {
  return overAxis(x, axis ?? undefined, (y, a) => {
    checkPlace(y, kth, a, 'argpartition');
    return y.argsort(a);
  });
}
function checkPlace(x: NDArray, kth: number, axis: number, what: string): void {
  const [, n] = axisOf(x, axis, what);
  if (Number.isInteger(kth) && kth >= -n && kth < n) return;
  throw new IngotError(
    'invalid_argument',
    `${what}: place ${kth} is outside axis ${axis} of ${formatShape(x.shape)}`,
  );
}

/** New axes of size 1 at one or several places of the result. */
export function expandDims(x: NDArray, axis: number | readonly number[]): NDArray {
  if (typeof axis === 'number') return expandOne(x, axis);
  const rank = x.shape.length + axis.length;
  const places = [...new Set(axis.map((a) => normalizeAxis(a, rank, 'expandDims')))].sort((a, b) => a - b);
  if (places.length !== axis.length)
    throw new IngotError('invalid_argument', `expandDims: axes [${axis}] repeat`);
  return places.reduce<NDArray>((y, a) => expandOne(y, a), x);
}

/** Without axes of size 1: all, or those named. Throws invalid_argument when one of them is longer. */
export function squeeze(x: NDArray, axis?: number | readonly number[] | null): NDArray {
  if (axis == null || typeof axis === 'number') return squeezeOne(x, axis);
  const places = axis.map((a) => normalizeAxis(a, x.shape.length, 'squeeze')).sort((a, b) => b - a);
  return places.reduce<NDArray>((y, a) => squeezeOne(y, a), x);
}

/** `parts` pieces as equal as they can be: the first are one longer. */
export function arraySplit(x: NDArray, parts: number, axis = 0): readonly NDArray[] {
  const [at, n] = axisOf(x, axis, 'arraySplit');
  if (!Number.isInteger(parts) || parts < 1)
    throw new IngotError('invalid_argument', `arraySplit: ${parts} is not a number of parts`);
  const [size, longer] = [Math.floor(n / parts), n % parts];
  return Array.from({ length: parts }, (_, i) => {
    const start = i * size + Math.min(i, longer);
    return alongAxis(x, at, [start, start + size + (i < longer ? 1 : 0)]);
  });
}

/** `x` held between bounds, which broadcast; null leaves a side open. */
export function clip(x: NDArray, low: Term | null = null, high: Term | null = null): NDArray {
  someArray([x, low ?? 0, high ?? 0], 'clip');
  const above = low === null ? x : x.maximum(low);
  return high === null ? above : above.minimum(high);
}

/** Nearest number with `decimals` digits after the point, halves to even. */
export function round(x: Term, decimals = 0): NDArray {
  const a = toArray(x);
  if (decimals === 0) return a.round();
  if (decimals > 0 && !isFloat(a.dtype)) return a;
  const scale = 10 ** Math.abs(decimals);
  const y = a.cast('f32');
  return (decimals > 0 ? y.mul(scale).round().div(scale) : y.div(scale).round().mul(scale)).cast(a.dtype);
}

/** Greatest common divisor of integers, by Euclid's algorithm: 47 steps are enough for 32 bits. */
export function gcd(a: Term, b: Term): NDArray {
  let [x, y] = [integers(a, 'gcd').abs(), integers(b, 'gcd').abs()];
  for (let i = 0; i < 47; i++) {
    const empty = y.eq(0);
    [x, y] = [where(empty, x, y), where(empty, 0, x.mod(where(empty, 1, y)))];
  }
  return x;
}
/** Least common multiple of integers; 0 when one is 0. */
export function lcm(a: Term, b: Term): NDArray {
  const divisor = gcd(integers(a, 'lcm'), integers(b, 'lcm'));
  return toArray(a)
    .abs()
    .floorDivide(where(divisor.eq(0), 1, divisor))
    .mul(toArray(b).abs());
}

/** The elements at offset + i · strides of the flat array, as a copy. Throws when one would be outside. */
export function asStrided(
  x: NDArray,
  shape: readonly number[] | null = x.shape.map((d) => fixed(d, 'asStrided')),
  strides?: readonly number[] | null,
  offset = 0,
): NDArray {
  if (shape === null) return asStrided(x, undefined, strides, offset);
  if (strides == null) {
    const rowMajor = shape.map((_, i) => shape.slice(i + 1).reduce((p, d) => p * d, 1));
    return asStrided(x, shape, rowMajor, offset);
  }
  const [, n] = axisOf(x.reshape([-1]), 0, 'asStrided');
  const reach = shape.map((d, i) => (d - 1) * (strides[i] ?? 0));
  const [low, high] = [
    offset + reach.reduce((s, r) => s + Math.min(r, 0), 0),
    offset + reach.reduce((s, r) => s + Math.max(r, 0), 0),
  ];
  if (strides.length !== shape.length || (!shape.includes(0) && (low < 0 || high >= n))) {
    throw new IngotError(
      'invalid_argument',
      `asStrided: shape [${shape}] with strides [${strides}] from ${offset} is not inside ${n} elements`,
    );
  }
  const places = shape.reduce<NDArray>(
    (sum, d, i) =>
      sum.add(
        arange(d)
          .mul(strides[i] ?? 0)
          .reshape(shape.map((_, k) => (k === i ? d : 1))),
      ),
    lift(offset, 'i32', x, 'asStrided'),
  );
  return x.reshape([-1]).take(places.broadcastTo(shape), 0);
}

/** `x` without the pieces at `places` along an axis. */
export function remove(x: NDArray, places: number | readonly number[], axis = 0): NDArray {
  const [at, n] = axisOf(x, axis, 'remove');
  const gone = new Set((typeof places === 'number' ? [places] : places).map((p) => (p < 0 ? p + n : p)));
  const kept = Array.from({ length: n }, (_, i) => i).filter((i) => !gone.has(i));
  return kept.length === 0
    ? alongAxis(x, at, [0, 0])
    : concat(
        kept.map((i) => alongAxis(x, at, [i, i + 1])),
        at,
      );
}

/** `values` in front of place `at` along an axis. */
export function insert(x: NDArray, at: number, values: NDArray, axis = 0): NDArray {
  const [i, n] = axisOf(x, axis, 'insert');
  return concat([alongAxis(x, i, [0, at]), values, alongAxis(x, i, [at, n])], i);
}

/** `values` behind `x` along an axis; without one, behind its elements in their order. */
export const append = (x: NDArray, values: NDArray, axis?: number | null): NDArray =>
  axis == null ? concat([x.reshape([-1]), values.reshape([-1])], 0) : concat([x, values], axis);
