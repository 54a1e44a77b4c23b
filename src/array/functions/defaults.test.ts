// What functions do without an axis, a length or a plain number, the dtypes of what they give, and the names in their errors.

import { describe, expect, it } from 'vitest';
import { openJsDevice } from '../../device/js/device.ts';
import type { NDArray } from '../array.ts';
import { setDefaultDevice } from '../context.ts';
import { fromData } from '../creation.ts';
import * as a from '../library.ts';

setDefaultDevice(openJsDevice());

const m = fromData([
  [1, 2, 4],
  [3, 5, 9],
]);
const list = async (x: NDArray): Promise<readonly number[]> => [...(await x.data())].map(Number);

describe('without an axis or length', () => {
  it('gradient is of each axis, as in NumPy', async () => {
    const [rows, columns] = a.gradient(m) as readonly NDArray[];
    expect(await list(rows as NDArray)).toEqual([2, 3, 5, 2, 3, 5]);
    expect(await list(columns as NDArray)).toEqual([1, 1.5, 2, 2, 3, 4]);
    const [halved] = a.gradient(m, [2, 1]) as readonly NDArray[];
    expect(await list(halved as NDArray)).toEqual([1, 1.5, 2.5, 1, 1.5, 2.5]);
    expect(await list(a.gradient(fromData(Int32Array.of(1, 2, 4))) as NDArray)).toEqual([1, 1.5, 2]);
    expect(() => a.gradient(fromData([1]))).toThrow(/axis 0 has 1 elements, 2 are needed/);
    expect(() => a.gradient(m, [1])).toThrow(/1 spacings for 2 axes/);
  });

  it('bincount goes to the largest', async () => {
    const counts = await a.bincount(fromData(Int32Array.of(0, 1, 1, 4)));
    expect(await list(counts)).toEqual([1, 2, 0, 0, 1]);
    expect((await a.bincount(fromData(new Int32Array(0)))).shape).toEqual([0]);
  });

  it('null means all elements', async () => {
    expect(await list(a.argsort(m, null))).toEqual([0, 1, 3, 2, 4, 5]);
    expect(await list(a.sort(m, null))).toEqual([1, 2, 3, 4, 5, 9]);
    expect((await list(a.softmax(m, null).sum()))[0]).toBeCloseTo(1, 6);
    expect((await list(a.logSoftmax(m, null).exp().sum()))[0]).toBeCloseTo(1, 6);
  });
});

it('quantiles at an array are those at its numbers, with its axes first', async () => {
  const q = [0, 0.1, 0.5, 1];
  const at = a.quantile(m, fromData([q.slice(0, 2), q.slice(2)]), 1);
  expect(at.shape).toEqual([2, 2, 2]);
  const want = await list(a.quantile(m, q, 1));
  for (const [i, v] of (await list(at)).entries()) expect(v).toBeCloseTo(want[i] ?? 0, 6);
  expect(a.quantile(m, fromData(q), 0, true).shape).toEqual([4, 1, 3]);
  expect(await list(a.quantile(fromData([1, Number.NaN]), fromData([0.5])))).toEqual([Number.NaN]);
  expect(await list(a.quantile(fromData(new Float32Array(0)), fromData([0.5])))).toEqual([Number.NaN]);
  expect(await list(a.quantile(fromData([1, Number.POSITIVE_INFINITY]), fromData([0])))).toEqual([1]);
});

it('einsum of integers and truth values has their dtype', async () => {
  for (const dtype of ['i32', 'u8', 'i8', 'bool', 'f16', 'bf16'] as const) {
    const x = fromData([1, 0, 1]).cast(dtype);
    expect(a.einsum('i,i->', x, x).dtype).toBe(dtype);
    expect(a.einsum('i,j->ij', x, x).dtype).toBe(dtype);
  }
  const yes = fromData([true, true]);
  expect(await list(a.einsum('i,i->', yes, yes))).toEqual([1]);
});

it.each([
  [
    'stack',
    () => a.stack([fromData([1, 2]), fromData([1])]),
    /^stack: array 1 has shape \[1\], array 0 \[2\]/,
  ],
  ['stack of nothing', () => a.stack([]), /^stack: a list of at least one array/],
  ['vstack', () => a.vstack([fromData([1, 2]), fromData([1])]), /^vstack: array 1/],
  ['hstack', () => a.hstack([m, fromData([1])]), /^hstack: array 1/],
  ['a bound', () => a.clip(m, 'x' as unknown as number), /^clip: 'x' is no array/],
  ['a dtype', () => a.array([1], 'f128' as 'f32'), /f128 is none of f32/],
  ['an object for a dtype', () => a.zeros([1], {} as 'f32'), /is none of f32/],
] as const)('the error of %s says which', (_, make, message) => expect(make).toThrow(message));

it('arrays of two devices of one name are said to be so, where they meet', () => {
  const other = fromData([1, 2, 4], undefined, { device: openJsDevice() });
  expect(() => m.add(other)).toThrow(
    /^add: operand 1 is on another device js than the rest: two were opened/,
  );
  const later = other.mul(2); // not computed
  expect(() => a.where(m.gt(1), m, later)).toThrow(/^where: operand 2 is on another device js/);
});
