// `linear` by tiles, every layout and shape of tile, on a GPU (a software one will do) against the definition.

import { afterAll, describe, expect, it } from 'vitest';
import { gluValue } from '../../src/array/ops/linear/packed.ts';
import { openNodeGpu } from '../../src/device/webgpu/node.ts';
import { erf } from '../../src/kernel/scalar-functions.ts';
import type { GpuCapabilities } from '../../src/kernel/wgsl/contract.ts';
import { KernelRequest } from '../../src/kernel/wgsl/contract.ts';
import { linearShape } from '../../src/kernel/wgsl/linear/shape.ts';
import type { TileEngine, TileShape } from '../../src/kernel/wgsl/linear/tile-body.ts';
import { f32Engine } from '../../src/kernel/wgsl/linear/tile-f32.ts';
import { matrixEngine } from '../../src/kernel/wgsl/linear/tile-matrix.ts';
import { linearTiles } from '../../src/kernel/wgsl/linear/tiles.ts';
import { layoutCode, layoutOf, metaDtypeCode, type WeightLayout } from '../../src/quant/layout.ts';
import { unpackReference } from '../../src/quant/reference.ts';
import { expectAllClose } from '../../src/testing/allclose.ts';
import { randomNumbers } from '../../src/testing/case-data.ts';
import { everyLayout, randomPacked } from '../../src/testing/random-packed.ts';
import { runPlan } from './run-plan.ts';

const device = await openNodeGpu({ software: true }).catch((error: Error) => error.message);

interface Case {
  readonly rows: number;
  readonly K: number;
  readonly Ns: readonly number[];
  readonly layout?: WeightLayout;
  readonly norm?: boolean;
  readonly bias?: boolean;
  readonly residual?: boolean;
  readonly glu?: 'none' | 'silu' | 'gelu_tanh' | 'gelu_erf';
  readonly caps?: Partial<GpuCapabilities>;
  readonly dynamic?: boolean;
}

const shape = (m: number, n: number, k: number, ...subgroups: [number, number]): TileShape => ({
  m,
  n,
  k,
  subgroups,
  buffers: 1,
});
const f32 = (m: number, n: number): TileEngine => f32Engine(shape(m, n, 32, 1, 1));
/** Subgroup matrices as plain loops: what a software GPU runs of them. */
const plain = (...size: Parameters<typeof shape>): TileEngine => matrixEngine(shape(...size), 'plain');
const twoBuffers = (...size: Parameters<typeof shape>): TileEngine =>
  matrixEngine({ ...shape(...size), buffers: 2 }, 'plain');
const small = [f32(16, 64), plain(16, 128, 32, 1, 4), twoBuffers(16, 128, 32, 1, 4)];
const large = [
  f32(32, 64),
  f32(64, 64),
  f32(64, 128),
  f32(128, 128),
  plain(16, 128, 64, 1, 4),
  plain(32, 64, 64, 1, 2),
  plain(64, 64, 32, 2, 2),
  plain(128, 64, 64, 2, 2),
  twoBuffers(64, 64, 32, 2, 2),
];

const f32s = (x: Float32Array): Uint8Array => new Uint8Array(x.buffer, x.byteOffset, x.byteLength);

function makeData(c: Case, seed: number) {
  const uniform = randomNumbers(seed);
  const normal = (n: number): Float32Array =>
    Float32Array.from(
      { length: n },
      () => Math.sqrt(-2 * Math.log(1 - uniform())) * Math.cos(6.2831853 * uniform()),
    );
  const layout = c.layout ?? layoutOf('q4');
  return {
    layout,
    x: normal(c.rows * c.K),
    norm: c.norm === true ? Float32Array.from({ length: c.K }, () => 0.5 + uniform()) : null,
    residual: c.residual === true ? normal(c.rows * (c.Ns[0] ?? 0)) : null,
    segments: c.Ns.map((N) => {
      const packed = randomPacked(layout, N, c.K, uniform);
      const bias = c.bias === true ? normal(N) : null;
      return { N, packed, bias, values: unpackReference(layout, packed, N, c.K) };
    }),
  };
}

/** Results, and how far off a product of f32 (or of f16) numbers may be. */
function reference(c: Case, data: ReturnType<typeof makeData>, halves: boolean) {
  const { K, rows } = c;
  const x = Float64Array.from(data.x);
  if (data.norm !== null) {
    for (let r = 0; r < rows; r++) {
      const row = x.subarray(r * K, (r + 1) * K);
      const scale = 1 / Math.sqrt(row.reduce((s, v) => s + v * v, 0) / K + 1e-5);
      row.forEach((v, k) => {
        row[k] = v * scale * ((data.norm?.[k] ?? 0) + 1);
      });
    }
  }
  // Each factor is rounded once; f16 scales of q8a and q4a in f32 lose no more.
  const unit = (halves ? 2 * 2 ** -11 : 0) + (K + 8) * 2 ** -24;
  const products = data.segments.map(({ N, values, bias }) => {
    const y = new Float64Array(rows * N);
    const error = new Float64Array(rows * N);
    for (let r = 0; r < rows; r++) {
      for (let n = 0; n < N; n++) {
        let [sum, size] = [0, 0];
        for (let k = 0; k < K; k++) {
          const term = (x[r * K + k] ?? 0) * (values[n * K + k] ?? 0);
          sum += term;
          size += Math.abs(term);
        }
        y[r * N + n] = sum + (bias?.[n] ?? 0);
        error[r * N + n] = size * unit + Math.abs(bias?.[n] ?? 0) * 2 ** -23;
      }
    }
    return { y, error };
  });
  const glu = c.glu ?? 'none';
  const [gate, up] = products;
  const outputs =
    glu === 'none' || gate === undefined || up === undefined
      ? products
      : [
          {
            y: gate.y.map((g, i) => gluValue(glu, g, up.y[i] ?? 0, erf)),
            // |act'| <= 1.13, and 1e-6 for the functions of the device.
            error: gate.error.map((e, i) => {
              const [g, u, eu] = [gate.y[i] ?? 0, up.y[i] ?? 0, up.error[i] ?? 0];
              return 1.13 * e * (Math.abs(u) + eu) + (Math.abs(g) + e) * (eu + 1e-6 * Math.abs(u));
            }),
          },
        ];
  return outputs.map(({ y, error }) => ({
    y: y.map((v, i) => v + (data.residual?.[i] ?? 0)),
    error: error.map((e, i) => e + 2 ** -22 * Math.abs(data.residual?.[i] ?? 0)),
  }));
}

/** The outputs of a run. */
async function products(
  gpu: GPUDevice,
  caps: GpuCapabilities,
  engine: TileEngine,
  c: Case,
  data: ReturnType<typeof makeData>,
): Promise<readonly Float32Array[]> {
  const glu = ['none', 'silu', 'gelu_tanh', 'gelu_erf'].indexOf(c.glu ?? 'none');
  const { layout } = data;
  const outputs = data.segments.map(({ N }, i) =>
    i > 0 && glu > 0 ? new Uint8Array(0) : new Uint8Array(c.rows * N * 4),
  );
  const buffers = [
    f32s(data.x),
    data.norm === null ? new Uint8Array(0) : f32s(data.norm),
    data.residual === null ? new Uint8Array(0) : f32s(data.residual),
    ...data.segments.flatMap(({ packed, bias }, i) => [
      packed,
      bias === null ? new Uint8Array(0) : f32s(bias),
      outputs[i] ?? new Uint8Array(0),
    ]),
  ];
  const params = [c.rows, c.K, 0, 1e-5, 1, glu, c.Ns.length].concat(
    c.Ns.flatMap((N) => [N, layoutCode(layout), layout.group, metaDtypeCode(layout)]),
  );
  const request = new KernelRequest({
    name: 'linear',
    params: c.dynamic === true ? [{ scalar: 'n', mul: 1, add: 0 }, ...params.slice(1)] : params,
    bytes: buffers.map((b) => b.byteLength),
    caps: { ...caps, ...c.caps },
    scalars: ['n'],
  });
  const plan = linearTiles(request, linearShape(request), () => engine);
  const results = await runPlan(gpu, plan, params, buffers, [c.rows]);
  return c.Ns.map((_, i) => new Float32Array((results[5 + 3 * i] ?? new Uint8Array(0)).slice().buffer));
}

async function check(
  gpu: GPUDevice,
  caps: GpuCapabilities,
  engine: TileEngine,
  c: Case,
  seed = 1,
): Promise<void> {
  const data = makeData(c, seed);
  const got = await products(gpu, caps, engine, c, data);
  reference(c, data, engine.halves).forEach(({ y, error }, i) => {
    // Scaled so that one bound serves all elements.
    const scaled = (v: ArrayLike<number>): Float64Array =>
      y.map((_, j) => (v[j] ?? Number.NaN) / (error[j] ?? 1));
    expectAllClose(
      scaled(got[i] ?? []),
      scaled(y),
      { absolute: 1, relative: 0 },
      `${engine.name} output ${i}`,
    );
  });
}

describe.skipIf(typeof device === 'string')(
  `linear tiles${typeof device === 'string' ? ` (${device})` : ''}`,
  () => {
    if (typeof device === 'string') return;
    const { gpu, caps } = device;
    afterAll(() => device.dispose());
    // Engines differ in how they store what a layout's reader gives, so they take turns, and every layout meets one.
    everyLayout.forEach((layout, i) => {
      const engine = small[i % small.length] ?? f32(16, 64);
      it(`${engine.name} unpacks ${layout.kind}/${layout.group}/${layout.metaDtype}`, () =>
        check(gpu, caps, engine, { rows: 5, K: 512, Ns: [40], layout }));
    });
    for (const kind of ['f32', 'f16', 'bf16'] as const) {
      it(`${kind} with columns that fill no chunk`, async () => {
        for (const [i, K] of [1, 8, 37, 72].entries()) {
          for (const engine of kind === 'f16' ? small : small.slice(i % 3, (i % 3) + 1))
            await check(gpu, caps, engine, { rows: 3, K, Ns: [18], layout: layoutOf(kind), norm: K > 8 });
        }
      });
    }
    const everything = { bias: true, norm: true, residual: true, glu: 'silu' } as const;
    for (const engine of small) {
      it(`${engine.name}: edges, segments, epilogues`, async () => {
        const edges = { rows: 70, K: 64, Ns: [150], bias: true, residual: true, dynamic: true };
        await check(gpu, caps, engine, edges);
        await check(gpu, caps, engine, { rows: 33, K: 96, Ns: [72, 16, 130], bias: true, norm: true });
        await check(gpu, caps, engine, { rows: 19, K: 64, Ns: [90, 90], ...everything });
      });
    }
    for (const engine of large) {
      it(`${engine.name}: everything at once`, async () => {
        await check(gpu, caps, engine, { rows: 150, K: 128, Ns: [90, 90], ...everything });
      });
    }
    it('activations of gate and up', async () => {
      for (const glu of ['gelu_tanh', 'gelu_erf'] as const) {
        await check(gpu, caps, f32(16, 64), { rows: 4, K: 64, Ns: [20, 20], glu });
      }
    });
    it('splits passes where bindings are few or small', async () => {
      const tight = { maxStorageBuffers: 5, maxBindingBytes: 16384 };
      await check(gpu, caps, f32(16, 64), { rows: 20, K: 64, Ns: [600, 40], bias: true, caps: tight });
      const c: Case = {
        rows: 20,
        K: 64,
        Ns: [600, 600],
        glu: 'silu',
        caps: { ...tight, maxStorageBuffers: 8 },
      };
      await check(gpu, caps, f32(16, 64), c);
    });
    it('a row that holds infinity or NaN is not finite, and its neighbours are right', async () => {
      const c: Case = { rows: 4, K: 64, Ns: [24] };
      for (const engine of small) {
        const data = makeData(c, 3);
        data.x[64 + 5] = Number.POSITIVE_INFINITY;
        data.x[2 * 64 + 7] = Number.NaN;
        const [got] = await products(gpu, caps, engine, c, data);
        const [want] = reference(c, data, engine.halves);
        got?.forEach((v, i) => {
          const finite = i < 24 || i >= 72;
          expect(Number.isFinite(v)).toBe(finite);
          if (finite) expect(Math.abs(v - (want?.y[i] ?? 0))).toBeLessThanOrEqual(want?.error[i] ?? 0);
        });
      }
    });
  },
);
