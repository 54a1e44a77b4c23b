// Experts by tiles on a GPU (a software one will do) against the definition of the ops.

import { afterAll, describe, expect, it } from 'vitest';
import { moeDownOp } from '../../src/array/ops/experts/moe-down.ts';
import { moeGluOp } from '../../src/array/ops/experts/moe-glu.ts';
import type { Tensor } from '../../src/array/types.ts';
import { openNodeGpu } from '../../src/device/webgpu/node.ts';
import type { KernelName } from '../../src/kernel/signature.ts';
import { type GpuCapabilities, type GpuKernelPlan, KernelRequest } from '../../src/kernel/wgsl/contract.ts';
import type { TileEngine } from '../../src/kernel/wgsl/linear/tile-body.ts';
import type { TileChooser } from '../../src/kernel/wgsl/linear/tile-choice.ts';
import { f32Engine } from '../../src/kernel/wgsl/linear/tile-f32.ts';
import { matrixEngine } from '../../src/kernel/wgsl/linear/tile-matrix.ts';
import { moeDownTiles, moeGluTiles } from '../../src/kernel/wgsl/moe/tiles.ts';
import { layoutCode, layoutOf, metaDtypeCode } from '../../src/quant/layout.ts';
import { expectAllClose } from '../../src/testing/allclose.ts';
import { caseTensor } from '../../src/testing/case-data.ts';
import { referenceResult } from '../../src/testing/device-conformance.ts';
import { complaint, h100, openNullGpu } from './null-gpu.ts';
import { runPlan } from './run-plan.ts';

const device = await openNodeGpu({ software: true }).catch((error: Error) => error.message);

const [E, N, K, topk] = [6, 88, 64, 2];
const layout = layoutOf('q4');
const layoutParams = [layoutCode(layout), layout.group, metaDtypeCode(layout)];

const bytesOf = (t: Tensor): Uint8Array =>
  new Uint8Array(t.data.buffer, t.data.byteOffset, t.data.byteLength).slice();

/** An operand that is not given. */
const absent = new Uint8Array(0);

const ids = (rows: number): Tensor =>
  caseTensor({ shape: [rows, topk], dtype: 'i32', fill: 'index', below: E }, 7);

const request = <K extends KernelName>(
  name: K,
  params: readonly number[],
  buffers: readonly Uint8Array[],
  caps: GpuCapabilities,
) =>
  new KernelRequest({
    name,
    params: [{ scalar: 'n', mul: 1, add: 0 }, ...params.slice(1)],
    bytes: buffers.map((b) => b.byteLength),
    caps,
    scalars: ['n'],
  });

/** One dispatch of each op: operands, params, buffers (the output is the last), plan. */
function glu(rows: number, precision: number) {
  const [x, gate, up] = [
    caseTensor({ shape: [rows, K] }, 1),
    caseTensor({ shape: [E, N, K], weight: 'q4' }, 2),
    caseTensor({ shape: [E, N, K], weight: 'q4' }, 3),
  ];
  const inputs = [x, ids(rows), gate, up];
  const attrs = { precision: precision === 1 ? 'exact' : 'fast', glu: 'silu' } as const;
  const [want] = referenceResult(moeGluOp, attrs, inputs);
  return {
    params: [rows, K, precision, 1, 0, 0, 0, topk, E, N, ...layoutParams],
    buffers: [...inputs.map(bytesOf), absent, absent, absent, new Uint8Array(rows * topk * N * 4)],
    want: want as Tensor,
    tolerance: moeGluOp.tolerance?.(inputs, [want as Tensor], attrs),
    plan: (
      caps: GpuCapabilities,
      params: readonly number[],
      buffers: readonly Uint8Array[],
      choose?: TileChooser,
    ) => moeGluTiles(request('moe_glu', params, buffers, caps), choose),
  };
}

function down(rows: number, precision: number, residual: boolean) {
  const inputs = [
    caseTensor({ shape: [rows, topk, K] }, 1),
    ids(rows),
    caseTensor({ shape: [rows, topk], fill: 'positive' }, 2),
    caseTensor({ shape: [E, N, K], weight: 'q4' }, 3),
  ];
  const attrs = { precision: precision === 1 ? 'exact' : 'fast' } as const;
  const added = residual ? caseTensor({ shape: [rows, N] }, 4) : null;
  const [want] = referenceResult(moeDownOp, attrs, [...inputs, added]);
  return {
    params: [rows, K, precision, topk, E, N, ...layoutParams],
    buffers: [
      ...inputs.map(bytesOf),
      absent,
      absent,
      added === null ? absent : bytesOf(added),
      new Uint8Array(rows * N * 4),
    ],
    want: want as Tensor,
    tolerance: moeDownOp.tolerance?.(inputs, [want as Tensor], attrs),
    plan: (
      caps: GpuCapabilities,
      params: readonly number[],
      buffers: readonly Uint8Array[],
      choose?: TileChooser,
    ) => moeDownTiles(request('moe_down', params, buffers, caps), choose),
  };
}

const engines: readonly (() => TileEngine)[] = [
  () => f32Engine({ m: 16, n: 64, k: 32, subgroups: [1, 1], buffers: 1 }),
  () => matrixEngine({ m: 16, n: 128, k: 32, subgroups: [1, 4], buffers: 2 }, 'plain'),
];

async function check(gpu: GPUDevice, caps: GpuCapabilities, c: ReturnType<typeof glu>, plan: GpuKernelPlan) {
  const results = await runPlan(gpu, plan, c.params, c.buffers, [c.params[0] ?? 0]);
  const got = new Float32Array((results.at(-1) ?? new Uint8Array(0)).slice().buffer);
  expectAllClose(got, c.want.data, c.tolerance ?? { absolute: 0, relative: 0 }, `${caps.vendor} experts`);
}

describe.skipIf(typeof device === 'string')(
  `experts by tiles${typeof device === 'string' ? ` (${device})` : ''}`,
  () => {
    if (typeof device === 'string') return;
    const { gpu, caps } = device;
    afterAll(() => device.dispose());
    engines.forEach((make, i) => {
      const precision = i === 0 ? 1 : 0;
      it(`${make().name}: gate and up`, async () => {
        const c = glu(45, precision);
        await check(gpu, caps, c, c.plan(caps, c.params, c.buffers, make));
      });
      it(`${make().name}: down, with a residual and without`, async () => {
        for (const residual of [true, false]) {
          const c = down(45, precision, residual);
          await check(gpu, caps, c, c.plan(caps, c.params, c.buffers, make));
        }
      });
    });
    it('in chunks of rows and windows of experts', async () => {
      const c = down(45, 1, true);
      const small = { ...caps, maxBindingBytes: 10000 };
      const plan = c.plan(small, c.params, c.buffers, engines[0]);
      expect(plan.variants[0]?.passes.length).toBeGreaterThan(10);
      await check(gpu, caps, c, plan);
    });
  },
);

describe('experts by subgroup matrices', () => {
  it('compile', async () => {
    const gpu = await openNullGpu();
    for (const c of [glu(200, 0), down(200, 0, true)]) {
      for (const { passes } of c.plan(h100, c.params, c.buffers).variants) {
        expect(passes.some((p) => p.enables?.includes('chromium_experimental_subgroup_matrix'))).toBe(true);
        for (const pass of passes) expect(await complaint(gpu, pass)).toBeUndefined();
      }
    }
    gpu.destroy();
  });
});
