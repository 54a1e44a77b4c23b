import { describe, expect, it } from 'vitest';
import { dynDim } from '../base/shape.ts';
import { openJsDevice } from '../device/js/device.ts';
import { compile } from './compile.ts';
import { fromData, scalar } from './creation.ts';
import { tidy } from './lifetime.ts';
import { kvWrite } from './ops/memory/kv-write.ts';
import { attention } from './ops/nn/attention.ts';
import { count } from './ops/reduce/count.ts';
import { settingsWords } from './ops/sampling/row-settings.ts';
import { sample } from './ops/sampling/sample.ts';
import { State } from './weight.ts';

describe('compile', () => {
  it('says what it needs where a caller of MLX or JAX gives a function alone', () => {
    expect(() => (compile as (fn: unknown) => unknown)(() => fromData([1]))).toThrow(
      /compile needs \{ device, inputs \}/,
    );
  });

  it('replays with dynamic sizes and scalars, and caches by signature', async () => {
    const device = openJsDevice();
    const n = dynDim('n', 8);
    const fn = ({ x }: { x: import('./array.ts').NDArray }) =>
      x
        .mul(scalar('factor', 'f32'))
        .add(fromData([1, 2, 3]))
        .sum(-1);
    const options = { device, inputs: { x: { shape: [n, 3], dtype: 'f32' as const } } };
    const plan = compile(fn, options);
    expect(compile(fn, options)).toBe(plan);
    const [out] = await plan.run({ inputs: { x: [1, 1, 1, 2, 2, 2] }, scalars: { factor: 10 } });
    expect([...(await out!.data())]).toEqual([36, 66]);
    await plan.run({ inputs: { x: [0, 0, 0] }, scalars: { factor: 1, n: 1 } });
    expect([...(await plan.outputs[0]!.data())]).toEqual([6]);
    expect([...(await out!.data())]).toEqual([36, 66]);
    plan.dispose();
    expect(device.statistics().liveBuffers).toBe(0);
    expect(compile(fn, options)).not.toBe(plan);
  });

  it('rejects inputs and scalars that do not fit', async () => {
    const device = openJsDevice();
    const n = dynDim('n', 4);
    const plan = compile(({ ids }) => ids.add(1), { device, inputs: { ids: { shape: [n], dtype: 'i32' } } });
    await expect(plan.run({ inputs: { ids: [1, 2] }, scalars: { n: 3 } })).rejects.toThrow(
      /needs 3 elements, got 2/,
    );
    await expect(plan.run({ inputs: { ids: [1, 2, 3, 4, 5] } })).rejects.toThrow(/n is 5.*0 to 4/);
    await expect(plan.run({ inputs: { ids: new Float32Array(2) } })).rejects.toThrow(/Int32Array/);
    await expect(plan.run({ inputs: { nope: [1] } })).rejects.toThrow(/no input nope; it has ids/);
    await expect(plan.run({ ids: [1] } as object)).rejects.toThrow(
      /takes \{ inputs, feed, scalars \} and not ids/,
    );
    await expect(plan.run({ inputs: { ids: [1] }, scalars: { m: 3 } })).rejects.toThrow(/no scalar m/);
    await expect(plan.run({})).rejects.toThrow(/scalar n \(i32\) is missing/);
  });

  it('updates states in place, in order', async () => {
    const device = openJsDevice();
    const counts = new State({ device, shape: [1, 5], dtype: 'i32', label: 'counts' });
    const plan = compile(
      ({ ids }) => {
        const before = count(counts, ids);
        count(counts, ids);
        return before.sum();
      },
      { device, inputs: { ids: { shape: [3], dtype: 'i32' } } },
    );
    await plan.run({ inputs: { ids: [0, 4, 4] } });
    expect([...(await plan.outputs[0]!.data())]).toEqual([3]);
    expect([...new Int32Array((await counts.read()).buffer)]).toEqual([2, 0, 0, 0, 4]);
    await plan.run({});
    expect([...(await plan.outputs[0]!.data())]).toEqual([9]);
  });

  it('refuses two updates of one version of a state', () => {
    const device = openJsDevice();
    const counts = new State({ device, shape: [1, 5], dtype: 'i32', label: 'counts' });
    expect(() =>
      compile(
        ({ ids }) => {
          const first = { value: counts.value };
          return [count(first, ids).sum(), count(first, ids.add(1)).sum()];
        },
        { device, inputs: { ids: { shape: [3], dtype: 'i32' } } },
      ),
    ).toThrow(/both update the same version of a State[\s\S]*return/);
  });

  it('runs attention over a cache that it writes', async () => {
    const device = openJsDevice();
    const [k, v] = ['k', 'v'].map((label) => new State({ device, shape: [1, 4, 2], dtype: 'f32', label }));
    const n = dynDim('n', 4);
    const plan = compile(
      ({ x, positions }) => {
        const [k1, v1] = kvWrite(k!, v!, x, x, positions);
        return { y: attention(x, k1, v1, positions, { scale: 1 }) };
      },
      { device, inputs: { x: { shape: [n, 1, 2], dtype: 'f32' }, positions: { shape: [n], dtype: 'i32' } } },
    );
    await plan.run({ inputs: { x: [1, 0], positions: [0] } });
    expect([...(await plan.output('y').data())]).toEqual([1, 0]);
    await plan.run({ inputs: { x: [1, 0], positions: [1] } });
    expect([...(await plan.output('y').data())]).toEqual([1, 0]);
    await plan.run({ inputs: { x: [0, 1], positions: [2] } });
    const [a, b] = await plan.output('y').data();
    expect(a).toBeCloseTo((2 * 1) / (2 + Math.E), 5);
    expect(b).toBeCloseTo(Math.E / (2 + Math.E), 5);
  });

  it('takes sampling settings as an input', async () => {
    const device = openJsDevice();
    const plan = compile(({ logits, settings }) => ({ ...sample(logits, settings, 2) }), {
      device,
      inputs: { logits: { shape: [1, 4], dtype: 'f32' }, settings: { shape: [1, 12], dtype: 'i32' } },
    });
    await plan.run({ inputs: { logits: [0, 3, 1, 2], settings: settingsWords([{ top: 2 }]) } });
    expect([...(await plan.output('id').data())]).toEqual([1]);
    expect([...(await plan.output('topIds').data())]).toEqual([1, 3]);
  });
});

describe('lazy arrays', () => {
  it('evaluate once, hold their result, and free it', async () => {
    const device = openJsDevice();
    const x = fromData([1, 2, 3, 4], [2, 2], { device });
    const y = tidy(() => x.matmul(x).add(1));
    expect([...(await y.data())]).toEqual([8, 11, 16, 23]);
    const z = tidy(() => y.slice([0, 1]).reshape([2]));
    expect([...(await z.data())]).toEqual([8, 11]);
    for (const a of [x, y, z]) a.dispose();
    expect(device.statistics().liveBuffers).toBe(0);
    expect(() => x.add(1)).toThrow(/disposed/);
  });
});
