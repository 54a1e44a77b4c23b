// Values at the edges, the same on every device: reversed slices, infinities, NaN, integers, empty axes, negative indices.

import { afterAll, describe, expect, it } from 'vitest';
import type { Array as NDArray } from '../../src/array/array.ts';
import { setDefaultDevice } from '../../src/array/context.ts';
import { arange, evaluate, fromData, full } from '../../src/array/creation.ts';
import { logAddExp, logSumExp } from '../../src/array/derived.ts';
import { tidy } from '../../src/array/lifetime.ts';
import { add } from '../../src/array/ops/elementwise/add.ts';
import { lt } from '../../src/array/ops/elementwise/lt.ts';
import { pow } from '../../src/array/ops/elementwise/pow.ts';
import { sub } from '../../src/array/ops/elementwise/sub.ts';
import { where } from '../../src/array/ops/elementwise/where.ts';
import { scatterAdd } from '../../src/array/ops/indexing/scatter-add.ts';
import { takeAlongAxis } from '../../src/array/ops/indexing/take-along-axis.ts';
import type { DType } from '../../src/base/dtype.ts';
import { openCpuDevice } from '../../src/device/cpu/device.ts';
import type { Device } from '../../src/device/device.ts';
import { openJsDevice } from '../../src/device/js/device.ts';
import { openNodeGpu } from '../../src/device/webgpu/node.ts';

const inf = Number.POSITIVE_INFINITY;
const big = 2 ** 31 - 1;
const i32 = (...x: number[]): NDArray => fromData(Int32Array.from(x));
const u32 = (...x: number[]): NDArray => fromData(Uint32Array.from(x));
const u8 = (...x: number[]): NDArray => fromData(Uint8Array.from(x));
const f32 = (...x: number[]): NDArray => fromData(x);
const table = (): NDArray =>
  fromData([
    [0, 1, 2],
    [3, 4, 5],
  ]);
const none = (dtype: DType = 'f32'): NDArray => full([3, 0], 0, dtype);

/** What is computed, its elements, and where they are said its dtype and shape. */
type Row = readonly [make: () => NDArray, want: readonly number[], dtype?: DType, shape?: readonly number[]];

const rows: Readonly<Record<string, Row>> = {
  'second axis reversed': [() => table().slice(null, [2, -4, -1]), [2, 1, 0, 5, 4, 3]],
  'both axes reversed': [() => table().slice([1, -3, -1], [2, -4, -1]), [5, 4, 3, 2, 1, 0]],
  'every second column': [() => table().slice(null, [0, 3, 2]), [0, 2, 3, 5]],
  'one row, reversed': [() => table().slice([1, 2], [2, -4, -1]), [5, 4, 3]],
  'axes of size 1, reversed': [() => table().reshape([2, 1, 3]).slice(null, [0, -2, -1], [2, 0, -2]), [2, 5]],
  'a reversed slice of a slice': [() => table().slice([1, 2]).slice(null, [1, -4, -1]), [4, 3]],
  'an empty slice at the end': [() => f32(1, 2, 3).slice([3, 3]), [], 'f32', [0]],
  'an empty slice beyond the end': [() => table().slice([2, 9], [7, 9]).add(1), [], 'f32', [0, 0]],
  'an empty reversed slice': [() => f32(1, 2, 3).slice([0, 2, -1]), [], 'f32', [0]],
  'logSumExp of infinities': [
    () => logSumExp(fromData([[-inf, -inf], [inf, 1], [inf, inf], [-inf, 2], [inf, -inf]]), 1), // biome-ignore format: one row each
    [-inf, inf, inf, 2, inf],
  ],
  'logSumExp of NaN': [() => logSumExp(f32(Number.NaN, inf)), [Number.NaN]],
  'logAddExp of infinities': [
    () => logAddExp(f32(-inf, inf, inf, -inf, 3), f32(-inf, inf, -inf, 2, -inf)),
    [-inf, inf, inf, 2, 3],
  ],
  'floor of integers': [() => i32(big, -big, 16777217).floor(), [big, -big, 16777217], 'i32'],
  'ceil, round and trunc of integers': [() => u32(4294967295).ceil().round().trunc(), [4294967295], 'u32'],
  'square of integers': [() => i32(46341, -3, 65537).square(), [-2147479015, 9, 131073], 'i32'],
  'powers of integers': [
    () => i32(3, -2, 7, 0).pow(i32(19, 31, 0, 0)),
    [1162261467, -(2 ** 31), 1, 1],
    'i32',
  ],
  'powers that wrap': [() => u32(3, 10, 65537).pow(21), [1870418611, 3735027712, 1376257], 'u32'],
  'integers to negative powers': [() => i32(1, -1, -1, 5).pow(i32(-3, -3, -2, -1)), [1, -1, 1, 0], 'i32'],
  'a number to integers': [() => pow(2, i32(0, 5, 30)), [1, 32, 2 ** 30], 'i32'],
  'powers of one': [
    () => f32(1, 1, -1, 2, 0).pow(f32(Number.NaN, inf, -inf, Number.NaN, 0)),
    [1, 1, 1, Number.NaN, 1],
  ],
  'NaN last in order': [
    () => f32(Number.NaN, 1, -inf, Number.NaN, inf).sort(),
    [-inf, 1, inf, Number.NaN, Number.NaN],
  ],
  'places of NaN': [() => f32(Number.NaN, 1, -inf, Number.NaN, inf).argsort(), [2, 1, 4, 0, 3]],
  'NaN first in descending order': [() => f32(1, Number.NaN, inf).argsort(-1, true), [1, 2, 0]],
  'equal infinities keep their order': [() => f32(inf, 1, inf, -inf, -inf).argsort(), [3, 4, 1, 0, 2]],
  'the largest with NaN': [() => f32(1, Number.NaN, 3, 2).topk(2)[1], [1, 2]],
  'order of integers beyond f32': [
    () => i32(16777217, 16777216, -5, big).sort(),
    [-5, 16777216, 16777217, big],
    'i32',
  ],
  'order of u32 along the first axis': [
    () => u32(4294967295, 1, 4294967294, 7).reshape([2, 2]).sort(0),
    [4294967294, 1, 4294967295, 7],
    'u32',
  ],
  'order of bytes': [() => u8(200, 3, 77).sort(-1, true), [200, 77, 3], 'u8'],
  'the largest integers': [() => i32(5, big, big - 1).topk(2)[0], [big, big - 1], 'i32'],
  'place of NaN as the largest': [() => f32(3, Number.NaN, 9, Number.NaN).argmax(), [1]],
  'place of NaN as the smallest': [() => f32(3, Number.NaN, -9).argmin(), [1]],
  'sum of nothing': [() => none().sum(1), [0, 0, 0], 'f32', [3]],
  'product of nothing': [() => none('i32').prod(1), [1, 1, 1], 'i32'],
  'mean of nothing': [() => none().mean(1), [Number.NaN, Number.NaN, Number.NaN]],
  'any and all of nothing': [
    () => none('bool').any(1).cast('i32').add(none('bool').all(1).cast('i32').mul(2)),
    [2, 2, 2],
  ],
  'sums over the other axis of nothing': [() => none().sum(0), [], 'f32', [0]],
  'largest over the other axis of nothing': [() => none().max(0), [], 'f32', [0]],
  'products that wrap': [() => i32(65536, 65537, 3).prod(), [196608], 'i32'],
  'largest byte': [() => u8(3, 250, 9).max(), [250], 'u8'],
  'smallest truth value': [() => fromData([true, false, true]).min(), [0], 'bool'],
  'place of the largest byte': [() => u8(3, 250, 9).argmax(), [1]],
  'sum of bytes': [() => u8(200, 100).sum(), [300], 'u32'],
  'full of a truth value': [() => full([2], true), [1, 1], 'bool'],
  'full of an array': [() => full([2, 3], i32(1, 2, 3)), [1, 2, 3, 1, 2, 3], 'i32'],
  'full of an array of another dtype': [() => full([2], f32(2.7), 'i32'), [2, 2], 'i32'],
  'a number first': [() => sub(1, f32(3, 5)), [-2, -4]],
  'a fraction beside integers': [() => add(0.5, i32(1, 2)), [1.5, 2.5], 'f32'],
  'a truth value beside integers': [() => add(i32(1, 2), true), [2, 3], 'i32'],
  'a number first in a comparison': [() => lt(2, i32(1, 2, 3)), [0, 0, 1], 'bool'],
  'numbers on both sides of where': [() => where(f32(1, 0).cast('bool'), 1, i32(7, 8)), [1, 8], 'i32'],
  'signed beside unsigned': [() => i32(-1).add(u32(3)), [2], 'i32'],
  'truth values added and multiplied': [
    () => fromData([true, true, false]).add(fromData([true, false, false])),
    [1, 1, 0],
    'bool',
  ],
  'bits of truth values': [() => fromData([true, false]).bitwiseXor(fromData([true, true])), [0, 1], 'bool'],
  'magnitude of unsigned numbers': [() => u32(4294967295, 0).abs(), [4294967295, 0], 'u32'],
  'sign of unsigned numbers': [() => u32(4294967295, 0).sign(), [1, 0], 'u32'],
  'negated unsigned numbers': [() => u8(1, 0).neg(), [255, 0], 'u8'],
  'indices from the end': [() => f32(5, 6, 7).take(i32(-1, 0, -3)), [7, 5, 5]],
  'unsigned indices': [
    () =>
      f32(5, 6, 7)
        .take(u32(2, 0))
        .add(f32(5, 6, 7).take(u8(1, 1))),
    [13, 11],
  ],
  'one index along an axis': [() => table().take(-1, 1), [2, 5], 'f32', [2]],
  'indices along an axis': [() => takeAlongAxis(table(), i32(2, -1, 0, 1).reshape([2, 2]), 1), [2, 2, 3, 4]],
  'rows added from the end': [() => scatterAdd(f32(1, 2, 3), i32(-1, 0, -1), 3), [2, 0, 4]],
  'f16 from numbers': [
    () => fromData([0.1, 70000], undefined, { dtype: 'f16' }).cast('f32'),
    [0.0999755859375, inf],
  ],
  'integers that keep their value': [() => arange(3).mul(100000).floorDivide(7), [0, 14285, 28571], 'i32'],
};

/** Graphs that are refused when they are made. */
const refused: Readonly<Record<string, readonly [() => unknown, RegExp]>> = {
  'the largest of nothing': [() => none().max(1), /max: axis 1 of \[3, 0\] has no elements/],
  'the place of the smallest of nothing': [() => none('i32').argmin(), /argmin: axis 1 of \[3, 0\]/],
  'a number that does not fit': [() => u8(1).add(300), /300 does not fit u8, which holds 0 to 255/],
  'a negative number beside unsigned': [() => u32(1).mul(-1), /-1 does not fit u32/],
  'full of too much': [() => full([2], 3e9, 'i32'), /3000000000 does not fit i32/],
  'full of NaN integers': [() => full([2], Number.NaN, 'i32'), /NaN does not fit i32/],
  'data that does not fit': [() => fromData([3e9], [1], { dtype: 'i32' }), /3000000000 does not fit i32/],
  'ragged lists': [() => fromData([[1, 2], [3]]), /lists of unequal length: the one at \[1\] has 1 elements/],
  'lists of unequal depth': [() => fromData([1, [2]]), /lists of unequal depth: element \[1\] is a list/],
  'text in a list': [() => fromData(['a' as never]), /element \[0\] is string, not a number/],
  'no array at all': [() => add(1, 2), /add: no operand is an array/],
  'fractions as indices': [
    () => f32(1).take(f32(0)),
    /take: indices: expected i32 or u32 or i8 or u8, got f32/,
  ],
  'integers to a negative number': [() => i32(2).pow(-1), /integers to the -1 are not integers/],
};

const devices: readonly (readonly [string, () => Promise<Device>])[] = [
  ['js', async () => openJsDevice()],
  ['cpu', async () => openCpuDevice()],
  ['webgpu', () => openNodeGpu({ software: true })],
];

for (const [name, open] of devices) {
  const device = await open().catch((error: Error) => error.message);
  if (typeof device === 'string') {
    describe.skip(`device ${name}: ${device}`, () => it('is not available', () => undefined));
    continue;
  }
  describe(`device ${name}`, () => {
    afterAll(() => device.dispose());
    for (const [what, [make, want, dtype, shape]] of Object.entries(rows)) {
      it(what, async () => {
        setDefaultDevice(device);
        const result = tidy(make);
        expect([...(await result.data())]).toEqual(want);
        if (dtype !== undefined) expect(result.dtype).toBe(dtype);
        if (shape !== undefined) expect(result.shape).toEqual(shape);
        result.dispose();
      });
    }

    it('may flush subnormal numbers in arithmetic, and keeps them where elements only move', async () => {
      setDefaultDevice(device);
      const tiny = Math.fround(1e-40);
      const moved = tidy(() => f32(1, tiny, -tiny).slice([2, 0, -1]).take(i32(1, 0)));
      expect([...(await moved.data())]).toEqual([tiny, -tiny]);
      const computed = tidy(() => f32(tiny, -tiny).mul(f32(1, 1)));
      const kept = [...(await computed.data())];
      const flushed = kept.every((x) => x === 0);
      if (name === 'cpu') expect(kept).toEqual([0, -0]);
      else expect(flushed || kept[0] === tiny).toBe(true);
      if (name === 'js') expect(kept).toEqual([tiny, -tiny]);
      moved.dispose();
      computed.dispose();
    });

    it('fails on indices outside an axis', async () => {
      setDefaultDevice(device);
      for (const index of [3, -4, 4294967295]) {
        const taken = tidy(() => f32(1, 2, 3).take(index < 0 ? i32(index) : u32(index)));
        await expect(evaluate(taken)).rejects.toThrow(/index/);
        taken.dispose();
      }
      const along = tidy(() => takeAlongAxis(table(), i32(3, 0).reshape([2, 1]), 1));
      await expect(evaluate(along)).rejects.toThrow(/index/);
      along.dispose();
    });
  });
}

describe('refused when the graph is made', () => {
  for (const [what, [make, message]] of Object.entries(refused)) {
    it(what, () => {
      setDefaultDevice(openJsDevice());
      expect(() => tidy(() => void make())).toThrow(message);
    });
  }
});
