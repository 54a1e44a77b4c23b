// Runs in flight on every device: what they capture, how one feeds the next, and what their outputs hold.

import { describe, expect, it } from 'vitest';
import { dynDim } from '../base/shape.ts';
import { addonPath } from '../device/cpu/addon.ts';
import { openCpuDevice } from '../device/cpu/device.ts';
import type { Device } from '../device/device.ts';
import { openJsDevice } from '../device/js/device.ts';
import { compile } from './compile.ts';
import { scalar } from './creation.ts';
import type { Plan } from './plan.ts';
import type { PlanOutput } from './plan-output.ts';

const values = async (output: PlanOutput | undefined): Promise<number[]> => [
  ...((await output?.data()) ?? []),
];

const devices: readonly (readonly [string, () => Device])[] = [
  ['js', openJsDevice],
  ...(addonPath() ? ([['cpu', () => openCpuDevice()]] as const) : []),
];

describe.each(devices)('runs of a plan on %s', (_, open) => {
  const stepper = (): Plan =>
    compile(({ x }) => ({ next: x.add(scalar('by', 'f32')), doubled: x.mul(2) }), {
      device: open(),
      inputs: { x: { shape: [dynDim('n', 4)], dtype: 'f32' } },
    });

  it('queue up, each fed by the one before, with outputs of their own', async () => {
    const plan = stepper();
    const runs = [plan.run({ inputs: { x: [0, 10] }, scalars: { by: 1 } })];
    for (let i = 1; i < 30; i++) runs.push(plan.run({ feed: { x: 'next' }, scalars: { by: 1 } }));
    const outputs = await Promise.all(runs);
    for (const [i, [next, doubled]] of outputs.entries()) {
      expect(await values(next)).toEqual([i + 1, i + 11]);
      expect(await values(doubled)).toEqual([2 * i, 2 * (i + 10)]);
    }
    expect(await values(plan.output('next'))).toEqual([30, 40]);
    plan.dispose();
  });

  it('give lists and single elements with the sizes of the run', async () => {
    const plan = compile(
      ({ x }) => ({
        all: x
          .mul(2)
          .cast('f16')
          .reshape([x.shape[0] ?? 0, 1]),
        top: x.max(),
      }),
      {
        device: open(),
        inputs: { x: { shape: [dynDim('n', 4)], dtype: 'f32' } },
      },
    );
    const [all, top] = await plan.run({ inputs: { x: [0.25, 3] } });
    expect(await all?.toList()).toEqual([[0.5], [6]]);
    expect(await top?.item()).toBe(3);
    await expect(all?.item()).rejects.toThrow(/item: \[2, 1\] is not one element/);
    plan.dispose();
  });

  it('keep a fed input when the next run leaves it out', async () => {
    const plan = stepper();
    await plan.run({ inputs: { x: [1, 2, 3] }, scalars: { by: 5 } });
    await plan.run({ feed: { x: 'next' }, scalars: { by: 0 } });
    const [next] = await plan.run({ scalars: { by: 1, n: 3 } });
    expect(await values(next)).toEqual([7, 8, 9]);
    plan.dispose();
  });

  it('capture their arguments when they are called', async () => {
    const plan = stepper();
    const x = Float32Array.of(1, 2);
    const scalars = { by: 1 };
    const first = plan.run({ inputs: { x }, scalars });
    x.fill(100);
    scalars.by = 50;
    const second = plan.run({ inputs: { x }, scalars });
    expect(await values((await first)[0])).toEqual([2, 3]);
    expect(await values((await second)[0])).toEqual([150, 150]);
    plan.dispose();
  });

  it('give each reader elements of its own', async () => {
    const plan = stepper();
    const [next] = await plan.run({ inputs: { x: [1] }, scalars: { by: 1 } });
    (await next?.data())?.fill(9);
    expect(await values(next)).toEqual([2]);
    expect(await values(plan.output('next'))).toEqual([2]);
    plan.dispose();
  });

  it('refuse a feed that does not fit, and go on', async () => {
    const plan = compile(({ x, bytes }) => ({ sum: x.sum(-1).reshape([1]), bytes: bytes.add(1) }), {
      device: open(),
      inputs: { x: { shape: [2], dtype: 'f32' }, bytes: { shape: [1], dtype: 'u8' } },
    });
    const inputs = { x: [1, 2], bytes: [3] };
    await expect(plan.run({ feed: { x: 'sum' } })).rejects.toThrow(
      /fed from output sum: the plan has not run/,
    );
    await plan.run({ inputs });
    await expect(plan.run({ feed: { x: 'sum' } })).rejects.toThrow(/x \[2\] needs 2 elements, got 1/);
    await expect(plan.run({ feed: { bytes: 'sum' } })).rejects.toThrow(
      /bytes .* from output sum: it is u8, not f32/,
    );
    await expect(plan.run({ feed: { y: 'sum' } })).rejects.toThrow(/no input y; it has x, bytes/);
    await expect(plan.run({ feed: { x: 'y' } })).rejects.toThrow(/no output y; it has sum, bytes/);
    await expect(plan.run({ inputs, feed: { bytes: 'bytes' } })).rejects.toThrow(/among the inputs too/);
    const [sum, bytes] = await plan.run({ feed: { bytes: 'bytes' } });
    expect([await values(sum), await values(bytes)]).toEqual([[3], [5]]);
    plan.dispose();
  });

  it('end as submitted when the plan is disposed meanwhile', async () => {
    const plan = stepper();
    const run = plan.run({ inputs: { x: [1] }, scalars: { by: 1 } });
    const fed = plan.run({ feed: { x: 'next' }, scalars: { by: 1 } });
    plan.dispose();
    expect(await values((await run)[0])).toEqual([2]);
    expect(await values((await fed)[0])).toEqual([3]);
    await expect(plan.run({ feed: { x: 'next' }, scalars: { by: 1 } })).rejects.toThrow(/disposed/);
  });

  it('read outputs that are too large to capture from their buffers', async () => {
    const plan = compile(({ x }) => x.add(1), {
      device: open(),
      inputs: { x: { shape: [dynDim('n', 20_000)], dtype: 'f32' } },
    });
    const [large] = await plan.run({ inputs: { x: new Float32Array(20_000).fill(1) } });
    expect((await values(large)).every((v) => v === 2)).toBe(true);
    const [small] = await plan.run({ inputs: { x: [5, 6] } });
    expect(await values(small)).toEqual([6, 7]);
    expect((await values(large)).slice(0, 3)).toEqual([6, 7, 2]);
    plan.dispose();
  });
});
