// Weights larger than a binding of the GPU: kernels take them in pieces, and the results are those of the reference.

import { afterAll, describe, it } from 'vitest';
import { setDefaultDevice } from '../../src/array/context.ts';
import type { CaseOperand, OpDef } from '../../src/array/op.ts';
import { moeDownOp } from '../../src/array/ops/experts/moe-down.ts';
import { moeGluOp } from '../../src/array/ops/experts/moe-glu.ts';
import { embeddingOp } from '../../src/array/ops/linear/embedding.ts';
import { linearOp } from '../../src/array/ops/linear/linear.ts';
import { openNodeGpu } from '../../src/device/webgpu/node.ts';
import { runCase } from '../../src/testing/device-conformance.ts';

const open = (maxBindingBytes: number) => openNodeGpu({ software: true, limits: { maxBindingBytes } });
const [small, medium] = [await open(32768), await open(131072)];
afterAll(() => {
  small.dispose();
  medium.dispose();
});

const weights = ['f32', 'q4', 'q8', 'q6k'] as const;
const ids = (rows: number): CaseOperand => ({ shape: [rows, 2], dtype: 'i32', fill: 'index', below: 5 });

function check(op: OpDef, inputs: readonly (CaseOperand | null)[], attrs: object): Promise<void> {
  // some columns of a matrix are always bound together: of f32 more bytes than of the others
  const device = inputs.some((i) => i?.weight === 'f32') ? medium : small;
  setDefaultDevice(device);
  return runCase(device, op, { name: 'larger than a binding', inputs, attrs }, 7);
}

describe.each([1, 13])('%i rows', (rows) => {
  it.each(weights)('linear %s', async (weight) => {
    const w: CaseOperand = { shape: [200, 256], weight };
    for (const precision of ['exact', 'fast'] as const) {
      const attrs = { precision, norm: null, glu: 'none' };
      await check(
        linearOp,
        [{ shape: [rows, 256] }, null, { shape: [rows, 200] }, w, { shape: [200] }],
        attrs,
      );
      await check(linearOp, [{ shape: [rows, 256] }, null, null, w, null, w, null], {
        ...attrs,
        glu: 'silu',
      });
    }
  });
  it('experts', async () => {
    const w: CaseOperand = { shape: [5, 96, 128], weight: 'q4' };
    for (const precision of ['exact', 'fast'] as const) {
      await check(moeGluOp, [{ shape: [rows, 128] }, ids(rows), w, w], { precision, glu: 'silu' });
      const choice: CaseOperand = { shape: [rows, 2], fill: 'positive' };
      await check(moeDownOp, [{ shape: [rows, 2, 128] }, ids(rows), choice, w, null], { precision });
    }
  });
  it.each(weights)('embedding of %s', async (weight) => {
    const places: CaseOperand = { shape: [rows], dtype: 'i32', fill: 'index', below: 190 };
    await check(embeddingOp, [places, { shape: [190, 256], weight }], { scale: 1 });
  });
});
