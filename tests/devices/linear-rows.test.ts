// `linear` with few rows: every layout and every geometry, on a GPU (a software one will do) against the definition.

import { afterAll, describe, expect, it } from 'vitest';
import { gluValue } from '../../src/array/ops/linear/packed.ts';
import { openNodeGpu } from '../../src/device/webgpu/node.ts';
import { erf } from '../../src/kernel/scalar-functions.ts';
import { type GpuCapabilities, KernelRequest, wgslSource } from '../../src/kernel/wgsl/contract.ts';
import { linearKernel } from '../../src/kernel/wgsl/linear/index.ts';
import {
  layoutCode,
  layoutOf,
  metaDtypeCode,
  packedBytes,
  type WeightLayout,
} from '../../src/quant/layout.ts';
import { unpackReference } from '../../src/quant/reference.ts';
import { expectAllClose } from '../../src/testing/allclose.ts';
import { randomNumbers } from '../../src/testing/case-data.ts';
import { everyLayout, randomPacked } from '../../src/testing/random-packed.ts';
import { complaint, h100, openNullGpu } from './null-gpu.ts';
import { runPlan } from './run-plan.ts';

const device = await openNodeGpu({ software: true }).catch((error: Error) => error.message);

interface Case {
  readonly rows: number;
  readonly K: number;
  readonly Ns: readonly number[];
  readonly layout?: WeightLayout;
  readonly precision?: 'fast' | 'exact' | 'fine';
  readonly norm?: boolean;
  readonly bias?: boolean;
  readonly residual?: boolean;
  readonly glu?: 'none' | 'silu' | 'gelu_tanh' | 'gelu_erf';
  readonly caps?: Partial<GpuCapabilities>;
  readonly dynamic?: boolean;
}

type Pick = (names: readonly string[]) => string | undefined;

const absent = new Uint8Array(0);
const bytesOf = (x: Float32Array | null): Uint8Array =>
  x === null ? absent : new Uint8Array(x.buffer, x.byteOffset, x.byteLength);

function makeData(c: Case) {
  const uniform = randomNumbers(c.K + 7 * c.rows);
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

type Data = ReturnType<typeof makeData>;

function normalized({ x, norm }: Data, { rows, K }: Case): Float64Array {
  const out = Float64Array.from(x);
  if (norm === null) return out;
  for (let r = 0; r < rows; r++) {
    const row = out.subarray(r * K, (r + 1) * K);
    const scale = 1 / Math.sqrt(row.reduce((s, v) => s + v * v, 0) / K + 1e-5);
    row.forEach((v, k) => {
      row[k] = v * scale * ((norm[k] ?? 0) + 1);
    });
  }
  return out;
}

/** Largest magnitude in the 32 columns around each element. */
const peaks = (x: Float64Array): Float64Array =>
  x.map((_, i) => x.subarray(i - (i % 32), i - (i % 32) + 32).reduce((m, v) => Math.max(m, Math.abs(v)), 0));

/** Steps of the rounding of x, in units of the largest of its block: half of one is what a factor may be off. */
const steps = { f32: 0, int8: 1 / 127, int8x2: 1 / 127 / 254 } as const;

function reference(c: Case, data: Data, mode: keyof typeof steps) {
  const { K, rows } = c;
  const x = normalized(data, c);
  const largest = peaks(x);
  // Sums of codes cancel the offset of a layout: up to 16 times a weight's own size.
  const unit = 16 * (K + 8) * 2 ** -24;
  const products = data.segments.map(({ N, values, bias }) => {
    const y = new Float64Array(rows * N);
    const error = new Float64Array(rows * N);
    for (let r = 0; r < rows; r++) {
      for (let n = 0; n < N; n++) {
        let [sum, bound] = [0, 2 ** -23];
        for (let k = 0; k < K; k++) {
          const [a, w] = [x[r * K + k] ?? 0, values[n * K + k] ?? 0];
          sum += a * w;
          bound += Math.abs(w) * (Math.abs(a) * unit + ((largest[r * K + k] ?? 0) * steps[mode] * 1.01) / 2);
        }
        y[r * N + n] = sum + (bias?.[n] ?? 0);
        error[r * N + n] = bound;
      }
    }
    return { y, error };
  });
  const glu = c.glu ?? 'none';
  const [gate, up] = products;
  if (glu === 'none' || gate === undefined || up === undefined) return products;
  const y = gate.y.map((g, i) => gluValue(glu, g, up.y[i] ?? 0, erf));
  const error = gate.error.map((e, i) => {
    const [g, u, eu] = [gate.y[i] ?? 0, up.y[i] ?? 0, up.error[i] ?? 0];
    // |act'| <= 1.13, and 1e-6 for the functions of the device.
    return 1.13 * e * (Math.abs(u) + eu) + (Math.abs(g) + e) * (eu + 1e-6 * Math.abs(u));
  });
  return [{ y, error }];
}

function requestOf(c: Case, data: Data, caps: GpuCapabilities, pick: Pick) {
  const { layout } = data;
  const glu = ['none', 'silu', 'gelu_tanh', 'gelu_erf'].indexOf(c.glu ?? 'none');
  const segments = data.segments.flatMap(({ N, packed, bias }, i) => [
    packed,
    bytesOf(bias),
    i > 0 && glu > 0 ? absent : new Uint8Array(c.rows * N * 4),
  ]);
  const buffers = [bytesOf(data.x), bytesOf(data.norm), bytesOf(data.residual), ...segments];
  const precision = ['fast', 'exact', 'fine'].indexOf(c.precision ?? 'fast');
  const params = [c.rows, c.K, precision, 1e-5, 1, glu, c.Ns.length].concat(
    c.Ns.flatMap((N) => [N, layoutCode(layout), layout.group, metaDtypeCode(layout)]),
  );
  const chosen: string[] = [];
  const request = new KernelRequest({
    name: 'linear',
    params: c.dynamic === true ? [{ scalar: 'n', mul: 1, add: 0 }, ...params.slice(1)] : params,
    bytes: buffers.map((b) => b.byteLength),
    caps: { ...caps, ...c.caps },
    scalars: ['n'],
    choose: (_, names) => {
      const name = pick(names) ?? names[0] ?? '';
      chosen.push(name);
      return name;
    },
  });
  return { request, params, buffers, chosen };
}

/** Runs a case with the candidates that `pick` takes. */
async function check(
  gpu: GPUDevice,
  caps: GpuCapabilities,
  c: Case,
  pick: Pick = () => undefined,
): Promise<void> {
  const data = makeData(c);
  const { request, params, buffers, chosen } = requestOf(c, data, caps, pick);
  const plan = linearKernel.plan(request);
  const results = await runPlan(gpu, plan, params, buffers, [c.rows]);
  const mode = chosen[0]?.split(' ')[0] as keyof typeof steps;
  reference(c, data, mode).forEach(({ y, error }, i) => {
    const got = new Float32Array((results[5 + 3 * i] ?? absent).slice().buffer);
    const want = y.map((v, j) => v + (data.residual?.[j] ?? 0));
    // Scaled so that one bound serves all elements.
    const scaled = (v: ArrayLike<number>): Float64Array =>
      want.map((_, j) => (v[j] ?? Number.NaN) / ((error[j] ?? 1) + 2 ** -22 * Math.abs(want[j] ?? 0)));
    expectAllClose(scaled(got), scaled(want), { absolute: 1, relative: 0 }, `${chosen[0]}, output ${i}`);
  });
}

/** Names of all candidates of a case. */
function candidates(c: Case, caps: GpuCapabilities): readonly string[] {
  const found = new Set<string>();
  const { request } = requestOf(c, makeData(c), caps, (names) => {
    for (const name of names) found.add(name);
    return undefined;
  });
  linearKernel.plan(request);
  return [...found];
}

describe.skipIf(typeof device === 'string')(
  `linear rows${typeof device === 'string' ? ` (${device})` : ''}`,
  () => {
    if (typeof device === 'string') return;
    const { gpu, caps } = device;
    afterAll(() => device.dispose());
    for (const [i, layout] of everyLayout.entries()) {
      // int8 with its error reads codes as int8 does: a third of the layouts show it.
      const precisions = (['exact', 'fast', 'fine'] as const).slice(0, i % 3 === 0 ? 3 : 2);
      it(`${layout.kind}/${layout.group}/${layout.metaDtype} in ${precisions.join(', ')}`, async () => {
        for (const precision of precisions) {
          await check(gpu, caps, { rows: 2, K: 512, Ns: [40], layout, precision });
        }
      });
    }
    for (const kind of ['f32', 'f16', 'bf16'] as const) {
      it(`${kind} with columns that fill no octet`, async () => {
        for (const K of [1, 8, 37, 72]) {
          await check(gpu, caps, { rows: 3, K, Ns: [18], layout: layoutOf(kind), norm: K > 8 });
        }
      });
    }
    const wide: Case = { rows: 3, K: 672, Ns: [150], bias: true, norm: true };
    for (const name of candidates(wide, caps)) {
      it(`${name}: edges`, () => check(gpu, caps, wide, (names) => names.find((n) => n === name)));
    }
    it('one row: segments, gate and up, residual', async () => {
      for (const precision of ['exact', 'fast', 'fine'] as const) {
        await check(gpu, caps, { rows: 1, K: 192, Ns: [72, 16, 130], bias: true, norm: true, precision });
        const glu = { rows: 1, K: 192, Ns: [90, 90], bias: true, norm: true, residual: true };
        await check(gpu, caps, { ...glu, glu: 'silu', precision });
      }
    });
    it('activations of gate and up', async () => {
      for (const glu of ['gelu_tanh', 'gelu_erf'] as const) {
        await check(gpu, caps, { rows: 2, K: 64, Ns: [20, 20], glu });
      }
    });
    it('blocks of rows by the rows of the run', async () => {
      for (const rows of [1, 2, 4, 7]) await check(gpu, caps, { rows, K: 64, Ns: [40], dynamic: true });
    });
    it('rows that do not fit workgroup memory', async () => {
      const small = { maxWorkgroupBytes: 16384 };
      for (const precision of ['exact', 'fast', 'fine'] as const) {
        await check(gpu, caps, { rows: 4, K: 4160, Ns: [40], caps: small, norm: true, precision });
      }
    });
    it('without subgroups and int8 products', async () => {
      const baseline = { maxWorkgroupBytes: 16384, subgroups: undefined, dot4: false, maxInvocations: 256 };
      await check(gpu, caps, { rows: 3, K: 320, Ns: [40, 40], glu: 'silu', norm: true, caps: baseline });
      await check(gpu, caps, { rows: 1, K: 320, Ns: [40], caps: { ...baseline, dot4: true } });
    });
    it('splits passes where bindings are few or small', async () => {
      const small = { maxStorageBuffers: 5, maxBindingBytes: 16384 };
      await check(gpu, caps, { rows: 2, K: 64, Ns: [600, 40], bias: true, caps: small });
      const eight = { ...small, maxStorageBuffers: 8 };
      await check(gpu, caps, {
        rows: 2,
        K: 64,
        Ns: [600, 600],
        glu: 'silu',
        norm: true,
        bias: true,
        caps: eight,
      });
    });
    it('a row that holds NaN or infinity is not finite, and the others are right', async () => {
      const c: Case = { rows: 3, K: 64, Ns: [16] };
      for (const precision of ['exact', 'fast', 'fine'] as const) {
        for (const bad of [Number.NaN, Number.POSITIVE_INFINITY]) {
          const data = makeData(c);
          data.x[70] = bad;
          const { request, params, buffers } = requestOf({ ...c, precision }, data, caps, () => undefined);
          const results = await runPlan(gpu, linearKernel.plan(request), params, buffers);
          const y = new Float32Array((results[5] ?? absent).slice().buffer);
          const finite = [0, 1, 2].map((r) => y.subarray(16 * r, 16 * r + 16).filter(Number.isFinite).length);
          expect(finite).toEqual([16, 0, 16]);
        }
      }
    });
  },
);

/** Bytes of the workgroup variables of a module. */
function workgroupBytes(code: string): number {
  const sizes = { f32: 4, u32: 4, 'vec2<u32>': 8, 'vec4<f32>': 16, Eight: 32 } as const;
  const found = [...code.matchAll(/var<workgroup> \w+: array<(.+), (\d+)>;/g)];
  expect(found.length).toBe(code.split('var<workgroup>').length - 1);
  return found.reduce((sum, [, type, n]) => sum + sizes[type as keyof typeof sizes] * Number(n), 0);
}

describe('WGSL of linear rows', () => {
  it('every candidate compiles for subgroups of 32, and every layout with some of them', async () => {
    const gpu = await openNullGpu();
    for (const [i, layout] of everyLayout.entries()) {
      for (const precision of ['fast', 'fine'] as const) {
        const c: Case = { rows: 2, K: 512, Ns: [48, 16], bias: true, layout, precision };
        const names = candidates(c, h100);
        for (const name of layout.kind === 'q4' ? names : names.filter((_, j) => j % 4 === i % 4)) {
          const { request } = requestOf(c, makeData(c), h100, (names) => names.find((n) => n === name));
          for (const pass of linearKernel.plan(request).variants.flatMap((v) => v.passes)) {
            expect(await complaint(gpu, pass)).toBeUndefined();
          }
        }
      }
    }
    gpu.destroy();
  });

  it('fits 16 KiB of workgroup memory for every number of rows and size of subgroup', () => {
    const sizes = [undefined, { min: 4, max: 4 }, { min: 8, max: 32 }, { min: 64, max: 64 }];
    for (const subgroups of sizes) {
      for (const dot4 of [true, false]) {
        const caps = { ...h100, maxWorkgroupBytes: 16384, maxInvocations: 256, subgroups, dot4 };
        for (const rows of [1, 2, 4, 8]) {
          const c: Case = { rows, K: 2048, Ns: [32, 32], glu: 'silu', norm: true, precision: 'fine' };
          const { request } = requestOf(c, makeData(c), caps, () => undefined);
          const [pass] = linearKernel.plan(request).variants.flatMap((v) => v.passes);
          expect(workgroupBytes(pass?.code ?? '')).toBeLessThanOrEqual(16384);
        }
      }
    }
  });

  it('is readable', async () => {
    const [N, K] = [2048, 2048];
    const layout = layoutOf('q4');
    const request = new KernelRequest({
      name: 'linear',
      params: [1, K, 0, 1e-5, 0, 1, 2, ...[0, 1].flatMap(() => [N, layoutCode(layout), 32, 1])],
      bytes: [4 * K, 4 * K, 0, packedBytes(layout, N, K), 0, 4 * N, packedBytes(layout, N, K), 0, 0],
      caps: h100,
      scalars: [],
    });
    const [pass] = linearKernel.plan(request).variants.flatMap((v) => v.passes);
    await expect(pass === undefined ? '' : wgslSource(pass)).toMatchFileSnapshot(
      '../../src/kernel/wgsl/__snapshots__/linear-rows-glu-q4.wgsl',
    );
  });
});
