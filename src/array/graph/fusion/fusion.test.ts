import { describe, expect, it } from 'vitest';
import { openJsDevice } from '../../../device/js/device.ts';
import { compare } from '../../../testing/allclose.ts';
import {
  type LayerArgs as Args,
  layerInputs as inputs,
  type LayerWeights,
  layerWeights as layer,
  llamaLayer,
  qwenMoeLayer,
  runLayer as runSteps,
} from '../../../testing/layers.ts';
import type { NDArray } from '../../array.ts';
import { compile, type Outputs } from '../../compile.ts';
import { linear } from '../../ops/linear/linear.ts';

const exact = { precision: 'exact' } as const;

async function fusedAndPlain(make: (w: LayerWeights) => (args: Args) => Outputs) {
  const device = openJsDevice();
  const fused = compile(make(layer(device)), { device, inputs });
  const plain = compile(make(layer(device)), { device, inputs, patterns: [] });
  return { fused, plain, got: await runSteps(fused), want: await runSteps(plain) };
}

describe('fusion of model layers', () => {
  it('runs a Llama layer in 6 dispatches, with the same result', async () => {
    const { fused, plain, got, want } = await fusedAndPlain(llamaLayer);
    expect(plain.program.dispatches.length).toBeGreaterThanOrEqual(15);
    expect(fused.program.dispatches.length).toBe(6);
    expect(compare(got, want, { absolute: 1e-3, relative: 1e-4 })).toMatchObject({ ok: true });
  });

  it('runs a Qwen3-MoE layer in 9 dispatches, with the same result', async () => {
    const { fused, plain, got, want } = await fusedAndPlain(qwenMoeLayer);
    expect(plain.program.dispatches.length).toBeGreaterThanOrEqual(17);
    expect(fused.program.dispatches.length).toBe(9);
    expect(compare(got, want, { absolute: 1e-3, relative: 1e-4 })).toMatchObject({ ok: true });
  });

  it('keeps an rmsNorm that has another user', () => {
    const device = openJsDevice();
    const w = layer(device);
    const plan = compile(
      ({ x }: Args) => {
        const h = x.rmsNorm(w.norm1, 1e-5);
        return [linear(h, w.q, exact), h.sum()];
      },
      { device, inputs },
    );
    expect(plan.program.dispatches.map((d) => d.kernel.name).sort()).toEqual(['linear', 'rmsNorm', 'sum']);
  });

  it('norms only the rows that are taken, inside the linear that follows', async () => {
    const device = openJsDevice();
    const w = layer(device);
    const fn = ({ x, last }: { x: NDArray; last: NDArray }): NDArray =>
      linear(x.rmsNorm(w.norm1, 1e-5).take(last, 0), w.q, exact);
    const results: number[][] = [];
    for (const patterns of [undefined, [] as const]) {
      const plan = compile(fn, {
        device,
        inputs: { x: inputs.x, last: { shape: [1], dtype: 'i32' } },
        patterns,
      });
      if (patterns === undefined)
        expect(plan.program.dispatches.map((d) => d.kernel.name)).toEqual(['take', 'linear']);
      const x = Float32Array.from({ length: 3 * 64 }, (_, i) => Math.sin(i));
      await plan.run({ inputs: { x, last: [2] } });
      results.push([...(await plan.outputs[0]!.data())]);
    }
    expect(compare(results[0]!, results[1]!, { absolute: 1e-5, relative: 1e-5 })).toMatchObject({ ok: true });
  });

  it('merges linears of one input, at most eight', async () => {
    const device = openJsDevice();
    const weights = Array.from({ length: 19 }, () => layer(device).k);
    const fn = ({ x }: Args) => weights.map((w) => linear(x, w, exact));
    const plan = compile(fn, { device, inputs });
    expect(plan.program.dispatches.map((d) => d.buffers.length)).toEqual([17, 17, 7]); // x, weights, results
    const got = await runSteps(plan);
    const want = await runSteps(compile(fn, { device, inputs, patterns: [] }));
    expect(got).toEqual(want);
  });

  it('does not add a residual to a linear that is also used alone', () => {
    const device = openJsDevice();
    const w = layer(device);
    const plan = compile(
      ({ x }: Args) => {
        const y = linear(x, w.square, exact);
        return [y, x.add(y)];
      },
      { device, inputs },
    );
    expect(plan.program.dispatches).toHaveLength(2);
  });
});

describe('fusion of elementwise chains', () => {
  const run = async (fn: (a: { x: NDArray; y: NDArray }) => Outputs) => {
    const device = openJsDevice();
    const specs = { x: { shape: [3, 4], dtype: 'f32' }, y: { shape: [4], dtype: 'f32' } } as const;
    const x = Float32Array.from({ length: 12 }, (_, i) => i - 5);
    const y = Float32Array.from([1, -2, 3, 0.5]);
    const outputs = [];
    const counts = [];
    for (const patterns of [undefined, [] as const]) {
      const plan = compile(fn, { device, inputs: specs, patterns });
      await plan.run({ inputs: { x, y } });
      outputs.push(await Promise.all(plan.outputs.map(async (o) => [...(await o.data())])));
      counts.push(plan.program.dispatches.length);
    }
    expect(outputs[0]).toEqual(outputs[1]);
    return counts;
  };

  it('makes one dispatch of a chain with broadcasting, constants and casts', async () => {
    expect(await run(({ x, y }) => x.mul(2).add(y).maximum(0).cast('i32').add(1))).toEqual([1, 8]);
  });

  it('computes once what several chains read, and all of them in one pass', async () => {
    const [fused] = await run(({ x, y }) => {
      const shared = x.mul(y);
      return [shared.add(1).sum(), shared.sub(1).sum(0)];
    });
    expect(fused).toBe(3); // both chains, and a sum of each
  });

  it('keeps the rounding of a cast to a shorter float', async () => {
    const [fused] = await run(({ x }) => x.mul(0.1).cast('f16').cast('f32').sub(x.mul(0.1)));
    expect(fused).toBe(2); // what was rounded is read back
  });

  it('does not join programs when one waits for the other through another op', async () => {
    const [fused] = await run(({ x, y }) => {
      const a = x.add(y);
      const b = x.sub(a.sum(0));
      return [a, b, x.mul(b.max(1, true)), a.mul(2)];
    });
    expect(fused).toBe(5); // a and 2 a, their sum, b, its maximum, the product
  });

  it('keeps the wrapping of 8-bit integers', async () => {
    await run(({ x }) => x.cast('i8').mul(100).cast('i32').add(1));
  });

  it('shares equal computations', async () => {
    expect(await run(({ x, y }) => [x.add(y).exp().sum(), x.add(y).exp().max()])).toEqual([3, 4]);
  });
});
