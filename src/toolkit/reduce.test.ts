// Reductions and passes over lines: on every device, any axis and length, gradients, batches, and messages.

import { afterAll, describe, expect, it } from 'vitest';
import type { NDArray } from '../array/array.ts';
import { compile } from '../array/compile.ts';
import { setDefaultDevice } from '../array/context.ts';
import { fromData } from '../array/creation.ts';
import { logSumExp } from '../array/derived.ts';
import { layerNorm } from '../array/ops/nn/layer-norm.ts';
import { grad } from '../array/transform/grad.ts';
import { vmap } from '../array/transform/vmap.ts';
import { openJsDevice } from '../device/js/device.ts';
import { openDevice } from '../device/open.ts';
import { openNodeGpu } from '../device/webgpu/node.ts';
import { expectAllClose } from '../testing/allclose.ts';
import { randomNumbers } from '../testing/case-data.ts';
import { mapReduce, reduce } from './reduce.ts';

const js = openJsDevice();
setDefaultDevice(js);
const cpu = await openDevice('cpu');
const gpu = await openNodeGpu({ software: true });
afterAll(() => {
  cpu.dispose();
  gpu.dispose();
});

const random = (n: number, seed = 3): Float32Array => {
  const next = randomNumbers(seed);
  return Float32Array.from({ length: n }, () => 4 * next() - 1);
};

const norm = { init: 0, update: 'acc + x * x', combine: 'a + b', finalize: 'sqrt(acc)' } as const;
const lse = reduce({
  name: 'lse',
  init: { m: '-inf', s: 0 },
  update: { m: 'max(m, x)', s: 's * (m == -inf ? 0 : exp(m - max(m, x))) + exp(x - max(m, x))' },
  combine: {
    m: 'max(a.m, b.m)',
    s: 'a.s * exp(a.m - max(a.m, b.m)) + b.s * exp(b.m - max(a.m, b.m))',
  },
  finalize: 'm + log(s)',
});
const first = reduce({
  name: 'first largest',
  init: { best: '-inf', at: '-1i' },
  update: { best: 'max(best, x)', at: 'at < 0 || x > best ? i : at' },
  combine: {
    best: 'max(a.best, b.best)',
    at: 'a.at < 0 ? b.at : b.at < 0 ? a.at : a.best > b.best || a.best == b.best && a.at < b.at ? a.at : b.at',
  },
  finalize: { best: 'best', at: 'at' },
});
const layer = mapReduce({
  name: 'layer',
  inputs: ['x', 'w', 'bias'],
  passes: {
    mean: { init: 0, update: 'acc + x', combine: 'a + b', finalize: 'acc / n' },
    v: { init: 0, update: 'acc + (x - mean) * (x - mean)', combine: 'a + b', finalize: 'acc / n' },
  },
  write: '(x - mean) * rsqrt(v + 1e-5) * w + bias',
});

describe('reduce and mapReduce', () => {
  const shapes: readonly (readonly [shape: readonly number[], axis: number])[] = [
    [[3, 40], -1],
    [[5, 7], 1],
    [[4, 9, 33], 1],
    [[300, 5], 0],
    [[2, 5000], 1],
    [[70000], 0],
    [[600, 3], -1],
    [[1, 1], 0],
  ];
  it('agree with array functions for every axis and length, on every device', async () => {
    const runs = shapes.map(([shape, axis], k) => {
      const x = random(
        shape.reduce((a, b) => a * b, 1),
        k,
      );
      const fn = (a: NDArray) => {
        const size = reduce({ ...norm, axis })(a);
        const share = mapReduce({
          passes: { total: { init: 0, update: 'acc + abs(x)', combine: 'a + b' } },
          write: 'x / total',
          axis,
        })(a);
        return [size, share, a.square().sum(axis).sqrt(), a.div(a.abs().sum(axis, true))];
      };
      return { shape, x, fn };
    });
    for (const device of [js, cpu, gpu]) {
      const inputs = Object.fromEntries(
        runs.map(({ shape }, k) => [`x${k}`, { shape, dtype: 'f32' as const }]),
      );
      const all = (given: Readonly<Record<string, NDArray>>) =>
        runs.flatMap(({ fn }, k) => fn(given[`x${k}`] as NDArray));
      using plan = compile(all, { device, inputs });
      const out = await plan.run({ inputs: Object.fromEntries(runs.map(({ x }, k) => [`x${k}`, x])) });
      const data = await Promise.all(out.map((o) => o.data()));
      for (const [k, { shape, x }] of runs.entries()) {
        const [size, share, wantSize, wantShare] = data.slice(4 * k, 4 * k + 4);
        const bound = { absolute: 1e-6, relative: 2e-5 };
        expectAllClose(size ?? [], wantSize ?? [], bound, `${device.name} norm of [${shape}]`);
        expectAllClose(share ?? [], wantShare ?? [], bound, `${device.name} shares of [${shape}]`);
        expect(x.length).toBe(share?.length);
      }
    }
  });

  it('have several accumulators, results and operands, and store halves', async () => {
    const x = random(6 * 1024);
    const [w, bias] = [random(1024, 8), random(1024, 9)];
    const spec = { shape: [6, 1024], dtype: 'f16' as const };
    const vector = { shape: [1024], dtype: 'f32' as const };
    const fn = ({ a, w, bias }: { a: NDArray; w: NDArray; bias: NDArray }) => {
      const { best, at } = first(a.mul(2)) as { best: NDArray; at: NDArray };
      const y = layer(a, w, bias);
      const dot = reduce({ inputs: ['p', 'q'], init: 0, update: 'acc + p * q', combine: 'a + b' })(a, w);
      return {
        best,
        at,
        y: y.cast('f32'),
        half: layer(a, w.cast('f16'), bias.cast('f16')).cast('f32'),
        lse: lse(a.cast('f32')),
        dot: dot.cast('f32'),
        wantBest: a.mul(2).max(-1),
        wantAt: a.argmax(-1),
        wantY: layerNorm(a.cast('f32'), w, bias, 1e-5),
        wantLse: logSumExp(a.cast('f32'), -1),
        wantDot: a.cast('f32').mul(w).sum(-1),
      };
    };
    for (const device of [cpu, gpu, js]) {
      using plan = compile(fn, { device, inputs: { a: spec, w: vector, bias: vector } });
      await plan.run({
        inputs: { a: new Uint16Array(6 * 1024).map((_, i) => 0x3c00 + ((i * 7919) % 1000)), w, bias },
      });
      const get = async (name: string) => plan.outputs.find((o) => o.name === name)?.data();
      const pairs = [
        ['best', 'wantBest', 0],
        ['at', 'wantAt', 0],
        ['y', 'wantY', 1e-3],
        ['half', 'wantY', 2e-2],
        ['lse', 'wantLse', 1e-5],
        ['dot', 'wantDot', 1e-3],
      ] as const;
      for (const [got, want, e] of pairs) {
        expectAllClose(
          (await get(got)) ?? [],
          (await get(want)) ?? [0],
          { absolute: e, relative: e },
          `${device.name} ${got}`,
        );
      }
      if (device === gpu) {
        expect(plan.program.dispatches.filter((d) => d.kernel.name === 'user').length).toBeGreaterThanOrEqual(
          5,
        );
      }
    }
    expect(x.length).toBe(6144);
  });

  it('have the gradient of their expressions, and map over batches', async () => {
    const x = fromData(random(12), [3, 4]);
    const [w, bias] = [fromData(random(4, 5)), fromData(random(4, 6))];
    const seed = fromData(random(12, 7), [3, 4]);
    const ours = grad((a: NDArray, b: NDArray, c: NDArray) => layer(a, b, c).mul(seed).sum(), [
      0, 1, 2,
    ] as const);
    const theirs = grad((a: NDArray, b: NDArray, c: NDArray) => layerNorm(a, b, c, 1e-5).mul(seed).sum(), [
      0, 1, 2,
    ] as const);
    const [got, want] = [ours(x, w, bias), theirs(x, w, bias)] as [NDArray[], NDArray[]];
    for (const [i, g] of got.entries()) {
      expectAllClose(
        await g.data(),
        (await want[i]?.data()) ?? [],
        { absolute: 1e-4, relative: 1e-3 },
        `gradient ${i}`,
      );
    }
    const d = grad((a: NDArray) => lse(a).sum())(x);
    expectAllClose(await d.data(), await x.softmax().data(), { absolute: 1e-5, relative: 1e-5 }, 'lse');
    const columns = vmap((column: NDArray) => lse(column), 1)(x);
    expectAllClose(
      await columns.data(),
      await logSumExp(x, 0).data(),
      { absolute: 1e-5, relative: 1e-5 },
      'vmap',
    );
    const rows = vmap((row: NDArray) => layer(row, w, bias))(x);
    expectAllClose(
      await rows.data(),
      await layer(x, w, bias).data(),
      { absolute: 1e-6, relative: 1e-6 },
      'rows',
    );
    const count = reduce({
      name: 'count',
      init: '0i',
      update: 'acc + i32(x > 0)',
      combine: 'a + b',
      finalize: 'f32(acc)',
    });
    expect(() => grad((a: NDArray) => count(a).sum())(x)).toThrow(
      'count has no gradient: the accumulators of a pass are i32',
    );
  });

  it('count in integers: numbers of a choice, and numbers alone, have the type of the accumulator', async () => {
    const x = fromData(new Float32Array([1, -2, 3, 0, 5, -6]), [2, 3]);
    for (const update of ['acc + select(0, 1, x > 0)', 'acc + (x > 0 ? 1 : 0)', 'max(acc, x > 2 ? 4 : 3)']) {
      const combine = update.startsWith('max') ? 'max(a, b)' : 'a + b';
      const count = reduce({ name: 'count', init: '0i', update, combine });
      expect([count(x).dtype, ...(await count(x).data())], update).toEqual(
        update.startsWith('max') ? ['i32', 4, 4] : ['i32', 2, 1],
      );
    }
    const any = reduce({
      name: 'any',
      inputs: ['x'],
      init: '0i',
      update: 'x > 4 ? 1 : acc',
      combine: 'max(a, b)',
    });
    expect([...(await any(x).data())]).toEqual([0, 1]);
  });

  it('give the value of nothing for empty lines, keep dims, and show what runs', async () => {
    const total = reduce({ ...norm, keepDims: true });
    const empty = fromData(new Float32Array(0), [2, 0]);
    expect(total(empty).shape).toEqual([2, 1]);
    expect([...(await total(empty).data())]).toEqual([0, 0]);
    expect(
      layer.source(gpu, {
        x: { shape: [8, 256], dtype: 'f32' },
        w: { shape: [256], dtype: 'f32' },
        bias: { shape: [256], dtype: 'f32' },
      }),
    ).toContain('fn updated_1');
    expect(layer.source(cpu).match(/reduce\(/g)).toHaveLength(2);
  });

  const wrong: Readonly<Record<string, readonly [options: object, message: string]>> = {
    'no init': [
      { update: 'acc + x', combine: 'a + b' },
      'r: init is missing: the accumulator of nothing, as in init: 0',
    ],
    'no update': [{ init: 0, combine: 'a + b' }, 'r: update is missing'],
    'no combine': [
      { init: 0, update: 'acc + x' },
      "r: combine is missing: two accumulators as one, as in combine: 'a + b'",
    ],
    'an unknown name': [
      { init: 0, update: 'acc + x', combine: 'a + c' },
      "combine of r: line 1, column 5: unknown name 'c'; there is a, b, n",
    ],
    'a type that changes': [
      { init: '0i', update: 'f32(acc) + x', combine: 'a + b' },
      'update of r: line 1, column 1: the accumulator is i32, as its init, and this is f32',
    ],
    'a missing accumulator': [
      { init: { s: 0, t: 0 }, update: { s: 's + x' }, combine: { s: 'a.s + b.s', t: 'a.t + b.t' } },
      "update of r: 't' is missing; give an expression for each of s, t",
    ],
    'an accumulator too many': [
      { init: { s: 0 }, update: { s: 's', u: 's' }, combine: { s: 'a.s' } },
      "update of r: 'u' is none of its names",
    ],
    'an axis that is none': [{ ...norm, axis: 2 }, 'axis 2'],
  };
  it.each(Object.entries(wrong))('refuse %s', (_, [options, message]) => {
    expect(() => reduce({ name: 'r', inputs: ['x'], ...options } as never)(fromData([1, 2]))).toThrow(
      message,
    );
  });

  it('refuse passes and writes that are missing', () => {
    const total = { init: 0, update: 'acc + x', combine: 'a + b' } as const;
    expect(() => reduce({ ...total, axis: 'last' as never })).toThrow(
      'reduce: axis must be an integer, got last',
    );
    expect(() => reduce({ ...total, dtype: 'f64' as never })).toThrow(
      'reduce: dtype must be one of f32, f16',
    );
    expect(() => mapReduce({ passes: {}, write: 'x' })).toThrow('mapReduce: passes are missing');
    expect(() =>
      mapReduce({ passes: { t: { init: 0, update: 'acc + x', combine: 'a + b' } } } as never),
    ).toThrow('write is missing');
    expect(() =>
      mapReduce({
        inputs: ['x'],
        passes: { t: { init: 0, update: 'acc + x', combine: 'a + b' } },
        write: 'x / tt',
      }),
    ).toThrow(
      "write of mapReduce: line 1, column 5: unknown name 'tt'; there is x, i, n, t; did you mean 't'?",
    );
  });
});
