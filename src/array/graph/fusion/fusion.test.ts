import { describe, expect, it } from 'vitest';
import { dynDim } from '../../../base/shape.ts';
import type { Device } from '../../../device/device.ts';
import { openJsDevice } from '../../../device/js/device.ts';
import { compare } from '../../../testing/allclose.ts';
import { caseTensor } from '../../../testing/case-data.ts';
import type { NDArray } from '../../array.ts';
import { compile, type Outputs } from '../../compile.ts';
import { fromData } from '../../creation.ts';
import { attention } from '../../ops/attention.ts';
import { kvWrite } from '../../ops/kv-write.ts';
import { linear } from '../../ops/linear.ts';
import { moeDown } from '../../ops/moe-down.ts';
import { moeGlu } from '../../ops/moe-glu.ts';
import { moeRoute } from '../../ops/moe-route.ts';
import { rope } from '../../ops/rope.ts';
import type { Plan } from '../../plan.ts';
import { State, Weight } from '../../weight.ts';

const [D, H, Hkv, Dh, F, E] = [64, 4, 2, 32, 96, 6] as const;
const n = dynDim('n', 8);
const exact = { precision: 'exact' } as const;
const inputs = { x: { shape: [n, D], dtype: 'f32' }, positions: { shape: [n], dtype: 'i32' } } as const;

/** Weights and states of one layer. */
function layer(device: Device) {
  let seed = 1;
  const matrix = (...shape: [number, number] | [number, number, number]): Weight => {
    const t = caseTensor({ shape, weight: 'q4' }, seed++);
    return Weight.fromPacked(device, t.data as Uint8Array, t.layout!, shape);
  };
  const vector = (size: number): NDArray =>
    fromData(caseTensor({ shape: [size], fill: 'positive' }, seed++).data, [size], { device });
  const cache = (label: string): State => new State({ device, shape: [Hkv, 16, Dh], dtype: 'f32', label });
  return {
    norm1: vector(D),
    norm2: vector(D),
    qNorm: vector(Dh),
    kNorm: vector(Dh),
    invFreq: fromData(
      Float32Array.from({ length: Dh / 2 }, (_, i) => 100 ** (-i / 16)),
      [Dh / 2],
      { device },
    ),
    q: matrix(H * Dh, D),
    k: matrix(Hkv * Dh, D),
    v: matrix(Hkv * Dh, D),
    o: matrix(D, H * Dh),
    gate: matrix(F, D),
    up: matrix(F, D),
    down: matrix(D, F),
    square: matrix(D, D),
    router: matrix(E, D),
    gates: matrix(E, F, D),
    ups: matrix(E, F, D),
    downs: matrix(E, D, F),
    kCache: cache('k'),
    vCache: cache('v'),
  };
}
type Layer = ReturnType<typeof layer>;
type Args = { readonly x: NDArray; readonly positions: NDArray };

function attend(w: Layer, { x, positions }: Args, headNorms: boolean): NDArray {
  const h = x.rmsNorm(w.norm1, 1e-5);
  const heads = (y: NDArray, count: number): NDArray => y.reshape([n, count, Dh]);
  const [q, k] = [heads(linear(h, w.q, exact), H), heads(linear(h, w.k, exact), Hkv)];
  const v = heads(linear(h, w.v, exact), Hkv);
  const rotated = (y: NDArray, weight: NDArray): NDArray =>
    rope(headNorms ? y.rmsNorm(weight, 1e-6) : y, positions, w.invFreq);
  const query = rotated(q, w.qNorm);
  const [kNext, vNext] = kvWrite(w.kCache, w.vCache, rotated(k, w.kNorm), v, positions);
  const y = attention(query, kNext, vNext, positions, { scale: Dh ** -0.5 });
  return x.add(linear(y.reshape([n, H * Dh]), w.o, exact));
}

const llama =
  (w: Layer) =>
  (args: Args): NDArray => {
    const x = attend(w, args, false);
    const h = x.rmsNorm(w.norm2, 1e-5);
    return x.add(
      linear(
        linear(h, w.gate, exact)
          .silu()
          .mul(linear(h, w.up, exact)),
        w.down,
        exact,
      ),
    );
  };

const qwenMoe =
  (w: Layer) =>
  (args: Args): NDArray => {
    const x = attend(w, args, true);
    const h = x.rmsNorm(w.norm2, 1e-5);
    const [ids, weights] = moeRoute(linear(h, w.router, exact), 2);
    return x.add(moeDown(moeGlu(h, ids, w.gates, w.ups, exact), ids, weights, w.downs, exact));
  };

async function runSteps(plan: Plan): Promise<number[]> {
  const results: number[] = [];
  for (const [first, rows] of [
    [0, 5],
    [5, 1],
    [6, 3],
  ] as const) {
    const x = caseTensor({ shape: [rows, D] }, 100 + first).data;
    const positions = Int32Array.from({ length: rows }, (_, i) => first + i);
    const [out] = await plan.run({ inputs: { x, positions } });
    results.push(...(await out!.data()));
  }
  return results;
}

async function fusedAndPlain(make: (w: Layer) => (args: Args) => Outputs) {
  const device = openJsDevice();
  const fused = compile(make(layer(device)), { device, inputs });
  const plain = compile(make(layer(device)), { device, inputs, fusion: false });
  return { fused, plain, got: await runSteps(fused), want: await runSteps(plain) };
}

describe('fusion of model layers', () => {
  it('runs a Llama layer in 6 dispatches, with the same result', async () => {
    const { fused, plain, got, want } = await fusedAndPlain(llama);
    expect(plain.program.dispatches.length).toBeGreaterThanOrEqual(15);
    expect(fused.program.dispatches.length).toBe(6);
    expect(compare(got, want, { absolute: 1e-3, relative: 1e-4 })).toMatchObject({ ok: true });
  });

  it('runs a Qwen3-MoE layer in 9 dispatches, with the same result', async () => {
    const { fused, plain, got, want } = await fusedAndPlain(qwenMoe);
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
    for (const fusion of [true, false]) {
      const plan = compile(fn, { device, inputs: specs, fusion });
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

  it('stores what several chains read', async () => {
    const [fused] = await run(({ x, y }) => {
      const shared = x.mul(y);
      return [shared.add(1).sum(), shared.sub(1).sum(0)];
    });
    expect(fused).toBe(5);
  });

  it('keeps the rounding of a cast to a shorter float', async () => {
    const [fused] = await run(({ x }) => x.mul(0.1).cast('f16').cast('f32').sub(x.mul(0.1)));
    expect(fused).toBe(3);
  });

  it('keeps the wrapping of 8-bit integers', async () => {
    await run(({ x }) => x.cast('i8').mul(100).cast('i32').add(1));
  });

  it('shares equal computations', async () => {
    expect(await run(({ x, y }) => [x.add(y).exp().sum(), x.add(y).exp().max()])).toEqual([3, 4]);
  });
});
