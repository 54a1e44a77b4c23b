// Arrays as sets of their elements. How many there are is known when they are computed: all of these are async.

import type { NDArray } from '../array.ts';
import { arange, fromData, full } from '../creation.ts';
import { expandDims } from '../derived.ts';
import { takeAlongAxis } from '../ops/indexing/take-along-axis.ts';
import { fixed } from '../ops/operands.ts';
import { concat } from '../ops/shape/concat.ts';
import { nonzero, select, unique } from './indexing.ts';
import { isin } from './numpy.ts';

const flat = (x: NDArray): NDArray => x.reshape([-1]);

/** The different elements, sorted. */
export const uniqueValues = async (x: NDArray): Promise<NDArray> => (await unique(x)).values;
/** The different elements and how often each occurs. */
export async function uniqueCounts(x: NDArray): Promise<readonly [values: NDArray, counts: NDArray]> {
  const { values, counts } = await unique(x);
  return [values, counts];
}
/** The different elements, and which of them each element is. */
export async function uniqueInverse(x: NDArray): Promise<readonly [values: NDArray, inverse: NDArray]> {
  const { values, inverse } = await unique(x);
  return [values, inverse];
}
/** Elements that differ from the one before them. */
export async function uniqueConsecutive(x: NDArray): Promise<NDArray> {
  const y = flat(x);
  const n = y.shape[0] as number;
  if (n < 2) return y;
  const changes = y.slice([1, n]).ne(y.slice([0, n - 1]));
  return select(y, concat([fromData([true]), changes], 0));
}
/** Sorted elements of either. */
export const union1d = (a: NDArray, b: NDArray): Promise<NDArray> =>
  uniqueValues(concat([flat(a), flat(b)], 0));
/** Sorted elements of both. */
export async function intersect1d(a: NDArray, b: NDArray): Promise<NDArray> {
  const values = await uniqueValues(a);
  return select(values, isin(values, b));
}
/** Sorted elements of the first that are not in the second. */
export async function setdiff1d(a: NDArray, b: NDArray): Promise<NDArray> {
  const values = await uniqueValues(a);
  return select(values, isin(values, b).logicalNot());
}
/** Sorted elements of one but not of both. */
export async function setxor1d(a: NDArray, b: NDArray): Promise<NDArray> {
  const all = await uniqueValues(concat([flat(a), flat(b)], 0));
  return select(all, isin(all, a).ne(isin(all, b)));
}
/** Places of the elements of the flat array that are not 0. */
export const flatnonzero = async (x: NDArray): Promise<NDArray> => (await nonzero(flat(x)))[0] as NDArray;
/** A vector without the zeros at its ends: `f` the front, `b` the back. */
export async function trimZeros(x: NDArray, ends = 'fb'): Promise<NDArray> {
  const places = await (await flatnonzero(x)).data();
  if (places.length === 0) return x.slice([0, 0]);
  const n = x.shape[0] as number;
  const [first, last] = [places[0] as number, places[places.length - 1] as number];
  return x.slice([ends.includes('f') ? first : 0, ends.includes('b') ? last + 1 : n]);
}
/** The most frequent element along the last axis, the smallest of several, and the last of its places. */
export function mode(x: NDArray): readonly [values: NDArray, places: NDArray] {
  const n = fixed(x.shape.at(-1), 'mode');
  const sorted = x.sort();
  const counts = expandDims(sorted, -1).eq(expandDims(sorted, -2)).sum(-1);
  const values = takeAlongAxis(sorted, counts.argmax(-1, true), -1);
  const places = x
    .eq(values)
    .cast('i32')
    .mul(arange(1, n + 1))
    .max(-1)
    .sub(1);
  return [values.reshape(x.shape.slice(0, -1)), places];
}
/** True when the arrays broadcast and are equal then. */
export function arrayEquiv(a: NDArray, b: NDArray): NDArray {
  const [short, long] = a.shape.length < b.shape.length ? [a, b] : [b, a];
  const start = long.shape.length - short.shape.length;
  const fits = short.shape.every(
    (d, i) => d === 1 || long.shape[start + i] === 1 || d === long.shape[start + i],
  );
  return fits ? a.eq(b).all() : full([], false);
}
