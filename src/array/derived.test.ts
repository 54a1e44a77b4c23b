import { describe, expect, it } from 'vitest';
import { openJsDevice } from '../device/js/device.ts';
import type { NDArray } from './array.ts';
import { setDefaultDevice } from './context.ts';
import { fromData, ones, zeros } from './creation.ts';
import * as derived from './derived.ts';
import * as losses from './functions/losses.ts';
import { tile } from './functions/shape.ts';
import { tidy } from './lifetime.ts';
import { customFunction } from './transform/custom.ts';
import { grad } from './transform/grad.ts';

setDefaultDevice(openJsDevice());
const numbers = async (x: NDArray): Promise<number[]> => [...(await x.data())];
const xs = [-30, -2, -0.5, 0, 0.5, 2, 30];
const x = fromData(xs);

describe('derived functions', () => {
  const scalarForms: Record<string, [(x: NDArray) => NDArray, (x: number) => number]> = {
    relu: [derived.relu, (v) => Math.max(v, 0)],
    leakyRelu: [derived.leakyRelu, (v) => (v > 0 ? v : 0.01 * v)],
    elu: [derived.elu, (v) => (v > 0 ? v : Math.expm1(v))],
    softplus: [derived.softplus, (v) => Math.max(v, 0) + Math.log1p(Math.exp(-Math.abs(v)))],
    logSigmoid: [derived.logSigmoid, (v) => -(Math.max(-v, 0) + Math.log1p(Math.exp(-Math.abs(v))))],
    mish: [derived.mish, (v) => v * Math.tanh(Math.max(v, 0) + Math.log1p(Math.exp(-Math.abs(v))))],
    hardSwish: [derived.hardSwish, (v) => (v * Math.min(Math.max(v + 3, 0), 6)) / 6],
    reluSquared: [derived.reluSquared, (v) => Math.max(v, 0) ** 2],
    clip: [(v) => derived.clip(v, -1, 1), (v) => Math.min(Math.max(v, -1), 1)],
  };
  for (const [name, [f, g]] of Object.entries(scalarForms)) {
    it(name, async () => {
      const got = await numbers(f(x));
      for (const [i, v] of xs.entries()) expect(got[i]).toBeCloseTo(g(v), 4);
    });
  }

  it('reduces without overflow', async () => {
    const big = fromData([1000, 1000, -1000, 0], [2, 2]);
    const [a, b] = await numbers(derived.logSumExp(big, 1));
    expect(a).toBeCloseTo(1000 + Math.log(2), 3);
    expect(b).toBeCloseTo(0, 6);
    expect(await numbers(derived.logAddExp(fromData([500]), fromData([500])))).toEqual([
      Math.fround(500 + Math.log(2)),
    ]);
  });

  it('computes variance with and without correction', async () => {
    const data = fromData([1, 2, 3, 4]);
    expect(await numbers(derived.variance(data))).toEqual([1.25]);
    expect((await numbers(derived.variance(data, undefined, false, 1)))[0]).toBeCloseTo(5 / 3, 6);
    expect((await numbers(derived.standardDeviation(data)))[0]).toBeCloseTo(Math.sqrt(1.25), 6);
  });

  it('changes shapes', async () => {
    const m = fromData([1, 2, 3, 4, 5, 6], [2, 3]);
    expect(derived.expandDims(m, 1).shape).toEqual([2, 1, 3]);
    expect(derived.squeeze(derived.expandDims(m, -1)).shape).toEqual([2, 3]);
    expect(() => derived.squeeze(m, 0)).toThrow(/not of size 1/);
    expect(derived.flatten(ones([2, 3, 4]), 1).shape).toEqual([2, 12]);
    expect(await numbers(derived.swapAxes(m, 0, 1))).toEqual([1, 4, 2, 5, 3, 6]);
    expect(await numbers(derived.repeat(m, 2, 1))).toEqual([1, 1, 2, 2, 3, 3, 4, 4, 5, 5, 6, 6]);
    expect(await numbers(derived.stack([m, m], 2).slice(null, [0, 1]))).toEqual([1, 1, 4, 4]);
    const parts = derived.split(m, 3, 1);
    expect(await Promise.all(parts.map(numbers))).toEqual([
      [1, 4],
      [2, 5],
      [3, 6],
    ]);
    expect(() => derived.split(m, 2, 1)).toThrow(/do not divide/);
  });

  it('promotes dtypes and takes numbers', async () => {
    const i = fromData(new Int32Array([7, -7]));
    expect(i.add(1).dtype).toBe('i32');
    expect(i.add(0.5).dtype).toBe('f32');
    expect(i.div(2).dtype).toBe('f32');
    expect(await numbers(i.floorDivide(2))).toEqual([3, -4]);
    expect(await numbers(i.mod(4))).toEqual([3, 1]);
    expect(i.gt(0).add(i.gt(0)).dtype).toBe('bool');
    expect(i.add(fromData(new Uint32Array(2))).dtype).toBe('i32');
    expect(() => fromData([1, 2]).add(fromData([1, 2, 3]))).toThrow(/\[2\] and \[3\] do not broadcast/);
  });

  it('leaves nothing behind in tidy', () => {
    const device = openJsDevice();
    const kept = tidy(() => {
      fromData([1], [1], { device });
      return { a: [fromData([2], [1], { device })] };
    });
    expect(device.statistics().liveBuffers).toBe(1);
    kept.a[0]!.dispose();
    kept.a[0]!.dispose();
    expect(device.statistics().liveBuffers).toBe(0);
    expect(() => tidy(async () => 1)).toThrow(/async/);
  });
});

describe('what cannot be is refused when the graph is made', () => {
  const m = ones([2, 3]);
  it.each([
    [
      'an order of too few axes',
      () => m.transpose([0]),
      /transpose: axes \[0\] are not an order of the 2 axes/,
    ],
    ['an axis twice', () => m.transpose([0, 0]), /transpose: axes \[0,0\] are not an order/],
    ['an axis twice in a sum', () => m.sum([1, -1]), /sum: axes \[1,-1\] of \[2, 3\] repeat/],
    ['copies less than none', () => tile(m, -1), /tile: repetitions/],
    ['a negative count', () => derived.repeat(m, -1), /repeat: count/],
    ['no dtype', () => m.cast('f64' as 'f32'), /cast: f64 is none of f32, f16/],
    ['a text', () => m.add('x' as unknown as number), /add: 'x' is no array, number or truth value/],
    [
      'sizes one by one',
      () => m.reshape(3 as never),
      /reshape: a shape is a list of sizes, such as \[2, 3\], got 3/,
    ],
    [
      'options in the place of keepDims',
      () => m.sum(0, { keepDims: true } as never),
      /sum: keepDims is true/,
    ],
    [
      'an option that there is not',
      () => derived.standardDeviation(m, { dof: 1 } as never),
      /var: option dof is none of axis, /,
    ],
    [
      'an unknown option of a loss',
      () => losses.mseLoss(m, m, { reduce: 'sum' } as never),
      /mseLoss: option reduce/,
    ],
    [
      'targets of another shape',
      () => losses.mseLoss(m, m.slice(0)),
      /mseLoss: shapes \[.*\] and \[.*\] must be/,
    ],
    ['zeros of sizes one by one', () => zeros(2, 3 as never), /full: 3 is none of f32, f16/],
    [
      'a dtype in the place of a shape',
      () => fromData([1], 'i32' as never),
      /fromData: a shape is a list of sizes.* got i32/,
    ],
    [
      'options in the place of a shape',
      () => fromData([1], { dtype: 'i32' } as never),
      /a shape is a list.* got an object/,
    ],
    [
      'a size that is a text',
      () => ones(['a', 2] as never),
      /full: shape \[a, 2\] has a size that is not a count/,
    ],
    [
      'another library’s dtype',
      () => fromData([1], [1], { dtype: 'int32' as 'i32' }),
      /fromData: int32 is none of f32/,
    ],
    ['zeros of no dtype', () => zeros([1], 'float32' as 'f32'), /full: float32 is none of f32/],
    [
      'axes in an object',
      () => m.sum({ axis: 0 } as never),
      /sum: axes are a number or a list of numbers, got \{"axis":0\}/,
    ],
    [
      'a rule that is none',
      () => customFunction((x) => x, {} as never),
      /customFunction: rule must be a function .* got object/,
    ],
    [
      'a rule that returns nothing',
      () => grad(customFunction((x) => x.sum(), (() => undefined) as never))(m),
      /customFunction: the rule .* must return an array/,
    ],
    ['nothing', () => m.mul(undefined as unknown as number), /mul: undefined is no array/],
  ] as const)('%s', (_, make, message) => expect(make).toThrow(message));
});
