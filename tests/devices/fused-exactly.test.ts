// A fusion changes no bit of what the native device computes: each against the operations as written, for every number of rows at
// which a kernel goes another way, and for widths that are no powers of two.

import { afterAll, describe, expect, it } from 'vitest';
import type { NDArray } from '../../src/array/array.ts';
import { compile } from '../../src/array/compile.ts';
import { fromData } from '../../src/array/creation.ts';
import { expertLinear } from '../../src/array/ops/experts/expert-linear.ts';
import { take } from '../../src/array/ops/indexing/take.ts';
import { linear } from '../../src/array/ops/linear/linear.ts';
import { rope } from '../../src/array/ops/nn/rope.ts';
import type { PatternChoice, PatternName } from '../../src/array/patterns.ts';
import type { Plan } from '../../src/array/plan.ts';
import { Weight } from '../../src/array/weight.ts';
import type { TypedArray } from '../../src/base/dtype.ts';
import { dynDim } from '../../src/base/shape.ts';
import { openCpuDevice } from '../../src/device/cpu/device.ts';
import type { Device } from '../../src/device/device.ts';
import { gated } from '../../src/models/blocks/activations.ts';
import type { LayoutKind, WeightLayout } from '../../src/quant/layout.ts';
import { caseTensor, randomNumbers } from '../../src/testing/case-data.ts';
import { everyLayout, randomPacked } from '../../src/testing/random-packed.ts';

function openCpu(): Device | undefined {
  try {
    return openCpuDevice();
  } catch {
    return undefined;
  }
}
const device = openCpu();

/** Experts and how many of them a row takes. */
const [E, topk] = [5, 3] as const;
/** Width of a head. */
const Dh = 56;
/** Few rows, some, many; pieces of 8 and of 32; more than the experts can share in one pass. */
const rowCounts = [1, 2, 3, 4, 5, 7, 8, 9, 11, 16, 17, 31, 32, 33, 38, 47, 64, 65, 70] as const;
const n = dynDim('n', 70);

interface Setting {
  readonly layout: WeightLayout;
  readonly precision: 'fast' | 'exact' | 'fine';
  /** Width of rows, and within a block: no powers of two. */
  readonly K: number;
  readonly F: number;
}

const inputsOf = ({ K }: Setting) =>
  ({
    x: { shape: [n, K], dtype: 'f32' },
    r: { shape: [n, K], dtype: 'f32' },
    ids: { shape: [n, topk], dtype: 'i32' },
    weights: { shape: [n, topk], dtype: 'f32' },
    positions: { shape: [n], dtype: 'i32' },
  }) as const;
type Inputs = { readonly [Name in keyof ReturnType<typeof inputsOf>]: NDArray };

function partsOf(on: Device, { layout, K, F }: Setting) {
  let seed = 1;
  const uniform = randomNumbers(3);
  const matrix = (...shape: [number, number] | [number, number, number]): Weight => {
    const [columns = 0, rows = 0, count = 1] = shape.toReversed();
    const stack = Array.from({ length: count }, () => randomPacked(layout, rows, columns, uniform));
    const size = stack[0]?.length ?? 0;
    const data = new Uint8Array(size * count);
    stack.forEach((bytes, e) => {
      data.set(bytes, e * size);
    });
    return Weight.fromPacked(on, data, layout, shape);
  };
  const vector = (...shape: number[]): NDArray =>
    fromData(caseTensor({ shape, fill: 'positive' }, seed++).data, shape, { device: on });
  return {
    gate: matrix(F, K),
    up: matrix(F, K),
    down: matrix(K, F),
    odd: matrix(41, K),
    gates: matrix(E, F, K),
    ups: matrix(E, F, K),
    downs: matrix(E, K, F),
    norm: vector(K),
    headNorm: vector(Dh),
    frequencies: vector(Dh / 2),
    bias: vector(F),
    biasF: vector(E, F),
    biasK: vector(E, K),
  };
}
type Parts = ReturnType<typeof partsOf>;
type Options = { readonly precision: Setting['precision'] };
type Block = (i: Inputs, p: Parts, o: Options) => NDArray | readonly NDArray[];

const experts = ({ x, ids, weights }: Inputs, { gates, ups, downs }: Parts, o: Options): NDArray =>
  expertLinear(
    expertLinear(x, ids, gates, o)
      .silu()
      .mul(expertLinear(x, ids, ups, o)),
    ids,
    downs,
    { ...o, weights },
  ).sum(1);

/** What finds a use for each pattern, and the patterns it takes. */
const blocks: Readonly<Record<string, readonly [patterns: readonly PatternName[], Block]>> = {
  'gate and up': [
    ['swiglu_mlp'],
    ({ x }, { gate, up, bias }, o) =>
      linear(x, gate, { ...o, bias })
        .silu()
        .mul(linear(x, up, o)),
  ],
  'gate and up, gelu': [
    ['geglu_mlp'],
    ({ x }, { gate, up }, o) => [
      linear(x, gate, o)
        .gelu()
        .mul(linear(x, up, o)),
      linear(x.neg(), gate, o)
        .geluTanh()
        .mul(linear(x.neg(), up, o)),
    ],
  ],
  experts: [['moe_mlp'], experts],
  'experts with biases and limits': [
    ['moe_mlp'],
    ({ x, ids, weights }, { gates, ups, downs, biasF, biasK }, o) => {
      const [g, u] = [gates, ups].map((w) => expertLinear(x, ids, w, { ...o, bias: biasF })) as [
        NDArray,
        NDArray,
      ];
      const hidden = gated('silu', g, u, { limit: 0.5, alpha: 1.702, offset: 1 });
      return expertLinear(hidden, ids, downs, { ...o, weights, bias: biasK }).sum(1);
    },
  ],
  'experts and a residual': [['moe_mlp', 'moe_residual'], (i, p, o) => i.r.add(experts(i, p, o))],
  'products of one input': [
    ['merge_linears'],
    ({ x }, { gate, up, odd, bias }, o) => [
      linear(x, gate, o),
      linear(x, odd, o),
      linear(x, up, { ...o, bias }),
    ],
  ],
  'a norm before a product': [
    ['linear_norm'],
    ({ x }, { norm, odd }, o) => linear(x.rmsNorm(norm, 1e-5), odd, o),
  ],
  'a norm before gate and up': [
    ['swiglu_mlp', 'linear_norm'],
    ({ x }, { norm, gate, up }, o) => {
      const y = x.rmsNorm(norm, 1e-6, { offset: 1 });
      return linear(y, gate, o)
        .silu()
        .mul(linear(y, up, o));
    },
  ],
  'a product and a residual': [
    ['linear_residual'],
    ({ x, r }, { gate, down }, o) => r.add(linear(linear(x, gate, o), down, o)),
  ],
  'a sum and its norm': [
    ['residual_norm'],
    ({ x, r }, { norm }) => {
      const h = x.add(r);
      return [h, h.rmsNorm(norm, 1e-5)];
    },
  ],
  'a norm and a residual': [
    ['norm_residual'],
    ({ x, r }, { norm }) => r.add(x.rmsNorm(norm, 1e-6, { offset: 1 })),
  ],
  'a norm and rows of it': [
    ['take_norm'],
    ({ x, positions }, { norm }) => take(x.rmsNorm(norm, 1e-5), positions.div(3).cast('i32'), 0),
  ],
  'norms of heads and their rotation': [
    ['rope_norm'],
    ({ x, positions }, { headNorm, frequencies }) =>
      rope(x.reshape([n, -1, Dh]).rmsNorm(headNorm, 1e-6), positions, frequencies),
  ],
};

function layoutOfKind(kind: LayoutKind): WeightLayout {
  const layout = everyLayout.find((l) => l.kind === kind);
  if (layout === undefined) throw new Error(`there is no layout ${kind}`);
  return layout;
}

/** Different experts for each slot of a row; the first gets many rows, the last few. */
function idsOf(rows: number, uniform: () => number): Int32Array {
  const choose = (): readonly number[] =>
    Array.from({ length: E }, (_, e) => e)
      .map((e) => [e - 3 * uniform(), e] as const)
      .toSorted(([a], [b]) => a - b)
      .slice(0, topk)
      .map(([, e]) => e);
  return Int32Array.from(Array.from({ length: rows }, choose).flat());
}

async function results(
  plan: Plan,
  inputs: Readonly<Record<string, TypedArray>>,
): Promise<readonly Uint32Array[]> {
  const outputs = await plan.run({ inputs });
  return Promise.all(outputs.map(async (o) => new Uint32Array(Float32Array.from(await o.data()).buffer)));
}

describe.skipIf(device === undefined)('fusions on the native device change no bit', () => {
  afterAll(() => device?.dispose());
  const settings: readonly Setting[] = [
    { layout: layoutOfKind('q4'), precision: 'fast', K: 1120, F: 160 },
    { layout: layoutOfKind('q4'), precision: 'exact', K: 224, F: 96 },
    { layout: layoutOfKind('q4'), precision: 'fine', K: 224, F: 96 },
    { layout: layoutOfKind('q4k'), precision: 'fast', K: 1792, F: 256 },
    { layout: layoutOfKind('q8a'), precision: 'fast', K: 896, F: 128 },
    { layout: layoutOfKind('mxfp4'), precision: 'fast', K: 1120, F: 160 },
    { layout: layoutOfKind('bf16'), precision: 'fast', K: 168, F: 72 },
  ];
  it.each(settings)('$layout.kind $precision', async (setting) => {
    const on = device as Device;
    const { K } = setting;
    const parts = partsOf(on, setting);
    const uniform = randomNumbers(9);
    const draw = (size: number): Float32Array =>
      caseTensor({ shape: [size] }, Math.floor(uniform() * 1e9)).data as Float32Array;
    const feeds = rowCounts.map((rows) => ({
      x: draw(rows * K),
      r: draw(rows * K),
      ids: idsOf(rows, uniform),
      weights: draw(rows * topk).map(Math.abs),
      positions: Int32Array.from({ length: rows }, (_, i) => 3 * i),
    }));
    const wrong: string[] = [];
    for (const [name, [patterns, block]] of Object.entries(blocks)) {
      if (K % Dh !== 0 && name.includes('heads')) continue;
      const planOf = (chosen: PatternChoice) =>
        compile((i: Inputs) => block(i, parts, { precision: setting.precision }), {
          device: on,
          inputs: inputsOf(setting),
          patterns: chosen,
        });
      const [plain, fused] = [planOf([]), planOf(patterns)];
      expect(Object.keys(fused.patterns).toSorted(), name).toEqual([...patterns].toSorted());
      for (const [i, feed] of feeds.entries()) {
        const [a, b] = [await results(plain, feed), await results(fused, feed)];
        expect(
          a.every((x) => x.some((v) => v !== x[0])),
          name,
        ).toBe(true);
        const differing = a.flatMap((x, at) => [...x].filter((v, j) => v !== b[at]?.[j])).length;
        if (differing > 0) wrong.push(`${name}, ${rowCounts[i]} rows: ${differing} differ`);
      }
      plain.dispose();
      fused.dispose();
    }
    for (const owned of Object.values(parts)) owned.dispose();
    expect(wrong).toEqual([]);
  });
});
