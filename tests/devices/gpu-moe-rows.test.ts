// Experts of single tokens and embeddings on a GPU (a software one will do): every geometry, weights larger than a binding,
// and ids that are wrong.

import { afterEach, describe, expect, it } from 'vitest';
import { fromData } from '../../src/array/creation.ts';
import type { OpCase, OpDef } from '../../src/array/op.ts';
import { type MoeDownAttrs, moeDown, moeDownOp } from '../../src/array/ops/experts/moe-down.ts';
import { type MoeGluAttrs, moeGlu, moeGluOp } from '../../src/array/ops/experts/moe-glu.ts';
import { type EmbeddingAttrs, embedding, embeddingOp } from '../../src/array/ops/linear/embedding.ts';
import { Weight } from '../../src/array/weight.ts';
import type { WebGpuDevice } from '../../src/device/webgpu/device.ts';
import { type NodeGpuOptions, openNodeGpu } from '../../src/device/webgpu/node.ts';
import { caseTensor } from '../../src/testing/case-data.ts';
import { runCase } from '../../src/testing/device-conformance.ts';

let device: WebGpuDevice | undefined;

async function open(options: NodeGpuOptions = {}): Promise<WebGpuDevice> {
  device = await openNodeGpu({ software: true, ...options });
  return device;
}

const reason = await open().then(
  () => '',
  (error: Error) => ` (${error.message})`,
);

const [E, N, K, topk] = [6, 40, 96, 3];
type Kind = 'q4' | 'q8' | 'f16' | 'q4a';

const ids = (rows: number) => ({
  shape: [rows, topk],
  dtype: 'i32' as const,
  fill: 'index' as const,
  below: E,
});

const gluCase = (rows: number, weight: Kind, precision: 'exact' | 'fast' | 'fine'): OpCase<MoeGluAttrs> => ({
  name: `${weight} ${precision}`,
  inputs: [{ shape: [rows, K] }, ids(rows), { shape: [E, N, K], weight }, { shape: [E, N, K], weight }],
  attrs: { precision, glu: 'gelu_tanh' },
});

const downCase = (
  rows: number,
  weight: Kind,
  precision: 'exact' | 'fast' | 'fine',
): OpCase<MoeDownAttrs> => ({
  name: `${weight} ${precision}`,
  inputs: [
    { shape: [rows, topk, K] },
    ids(rows),
    { shape: [rows, topk], fill: 'positive' },
    { shape: [E, N, K], weight },
    { shape: [rows, N] },
  ],
  attrs: { precision },
});

const tableCase: OpCase<EmbeddingAttrs> = {
  name: 'table',
  inputs: [
    { shape: [9], dtype: 'i32', fill: 'index', below: 300 },
    { shape: [300, 96], weight: 'q4' },
  ],
  attrs: { scale: 1 },
};

/** Runs a case with a third of the candidates it asks for: all of them run in the tests of `linear`. */
async function someCandidates<A extends object>(
  gpu: WebGpuDevice,
  op: OpDef<A>,
  c: OpCase<A>,
): Promise<number> {
  const run = () => runCase(gpu, op as OpDef, c, 3);
  gpu.choices.asked.clear();
  await run();
  const asked = [...gpu.choices.asked];
  for (const [key, names] of asked) {
    for (const name of names.filter((_, i) => i % 3 === 1)) {
      gpu.choices.force(key, name);
      await run();
    }
  }
  return asked.flatMap(([, names]) => names).length;
}

describe.skipIf(reason !== '')(`experts of single tokens${reason}`, () => {
  afterEach(() => device?.dispose());

  it('geometries of gate and up', async () => {
    expect(await someCandidates(await open(), moeGluOp, gluCase(2, 'q4', 'fast'))).toBeGreaterThan(6);
  });

  it('geometries of down', async () => {
    expect(await someCandidates(await open(), moeDownOp, downCase(2, 'q4', 'fast'))).toBeGreaterThan(6);
  });

  it('layouts and precisions', async () => {
    const gpu = await open();
    for (const [weight, precision] of [
      ['q8', 'fine'],
      ['q4a', 'fast'],
      ['f16', 'fast'],
      ['q4a', 'exact'],
    ] as const) {
      await runCase(gpu, moeGluOp as OpDef, gluCase(2, weight, precision), 5);
      await runCase(gpu, moeDownOp as OpDef, downCase(2, weight, precision), 5);
    }
  });

  it('stacks and tables larger than a binding', async () => {
    const gpu = await open({ limits: { maxBindingBytes: 6144 } });
    await runCase(gpu, moeGluOp as OpDef, gluCase(3, 'q4', 'fast'), 7);
    await runCase(gpu, moeDownOp as OpDef, downCase(3, 'q4', 'fast'), 7);
    await runCase(gpu, embeddingOp as OpDef, tableCase, 7);
  });

  it('ids outside of the experts or the table fail the run', async () => {
    const gpu = await open();
    const pack = (shape: [number, number] | [number, number, number]): Weight => {
      const { data, layout } = caseTensor({ shape, weight: 'q4' }, 1);
      if (layout === undefined) throw new Error('a packed operand has a layout');
      return Weight.fromPacked(gpu, data as Uint8Array, layout, shape);
    };
    const array = (data: Float32Array | Int32Array, shape: number[]) =>
      fromData(data, shape, { device: gpu });
    const wrong = array(Int32Array.of(0, E), [1, 2]);
    const weight = pack([E, N, K]);
    const x = array(new Float32Array(K).fill(1), [1, K]);
    const h = array(new Float32Array(2 * K).fill(1), [1, 2, K]);
    const even = array(new Float32Array(2).fill(0.5), [1, 2]);
    await expect(moeGlu(x, wrong, weight, weight).data()).rejects.toThrow(/expert id is outside.* \(6\)/);
    await expect(moeDown(h, wrong, even, weight).data()).rejects.toThrow(/expert id is outside.* \(6\)/);
    const table = pack([19, K]);
    const negative = array(Int32Array.of(3, -1), [2]);
    await expect(embedding(negative, table).data()).rejects.toThrow(/token id is outside.* \(-1\)/);
    for (const owned of [wrong, weight, x, h, even, table, negative]) owned.dispose();
  });
});
