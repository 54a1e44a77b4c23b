// One layer of a Llama and of a Qwen3-MoE model with random weights, written with ops alone: for tests of fusion and devices.

import type { NDArray } from '../array/array.ts';
import { fromData } from '../array/creation.ts';
import { moeDown } from '../array/ops/experts/moe-down.ts';
import { moeGlu } from '../array/ops/experts/moe-glu.ts';
import { moeRoute } from '../array/ops/experts/moe-route.ts';
import { linear } from '../array/ops/linear/linear.ts';
import { kvWrite } from '../array/ops/memory/kv-write.ts';
import { attention } from '../array/ops/nn/attention.ts';
import { rope } from '../array/ops/nn/rope.ts';
import type { Plan } from '../array/plan.ts';
import { State, Weight } from '../array/weight.ts';
import { dynDim } from '../base/shape.ts';
import type { Device } from '../device/device.ts';
import { layoutOf } from '../quant/layout.ts';
import { caseTensor } from './case-data.ts';

const [D, H, Hkv, Dh, F, E] = [64, 4, 2, 32, 96, 6] as const;
const n = dynDim('n', 8);
const exact = { precision: 'exact' } as const;
/** Inputs of a layer's plan: rows and their positions. */
export const layerInputs = {
  x: { shape: [n, D], dtype: 'f32' },
  positions: { shape: [n], dtype: 'i32' },
} as const;

/** Weights and states of one layer. */
export function layerWeights(device: Device) {
  let seed = 1;
  const matrix = (...shape: [number, number] | [number, number, number]): Weight => {
    const t = caseTensor({ shape, weight: 'q4' }, seed++);
    return Weight.fromPacked(device, t.data as Uint8Array, t.layout ?? layoutOf('q4'), shape);
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
export type LayerWeights = ReturnType<typeof layerWeights>;
export type LayerArgs = { readonly x: NDArray; readonly positions: NDArray };

function attend(w: LayerWeights, { x, positions }: LayerArgs, headNorms: boolean): NDArray {
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

/** Attention, then a gated feed-forward. */
export const llamaLayer =
  (w: LayerWeights) =>
  (args: LayerArgs): NDArray => {
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

/** Attention with head norms, then experts. */
export const qwenMoeLayer =
  (w: LayerWeights) =>
  (args: LayerArgs): NDArray => {
    const x = attend(w, args, true);
    const h = x.rmsNorm(w.norm2, 1e-5);
    const [ids, weights] = moeRoute(linear(h, w.router, exact), 2);
    return x.add(moeDown(moeGlu(h, ids, w.gates, w.ups, exact), ids, weights, w.downs, exact));
  };

/** A prefill of 5 rows, one row, then three: results of all. */
export async function runLayer(plan: Plan): Promise<number[]> {
  const results: number[] = [];
  for (const [first, rows] of [
    [0, 5],
    [5, 1],
    [6, 3],
  ] as const) {
    const x = caseTensor({ shape: [rows, D] }, 100 + first).data;
    const positions = Int32Array.from({ length: rows }, (_, i) => first + i);
    const [out] = await plan.run({ inputs: { x, positions } });
    results.push(...((await out?.data()) ?? []));
  }
  return results;
}
