// Kernels of many buffers on adapters that bind eight to a pass, the fewest that are taken.

import { afterAll, describe, expect, it } from 'vitest';
import { setDefaultDevice } from '../../src/array/context.ts';
import { blockWriteOp } from '../../src/array/ops/memory/block-write.ts';
import { compressedAttentionOp } from '../../src/array/ops/nn/compressed-attention.ts';
import { openNodeGpu } from '../../src/device/webgpu/node.ts';
import { runCase } from '../../src/testing/device-conformance.ts';

const device = await openNodeGpu({ software: true, limits: { maxStorageBuffers: 8 } });
afterAll(() => device.dispose());

const ops = [blockWriteOp, compressedAttentionOp];
describe.each(ops.map((op) => ({ op, paged: op.cases.filter(({ name }) => name.includes('page')) })))(
  '$op.name',
  ({ op, paged }) => {
    it('has cases with pages', () => expect(paged.length).toBeGreaterThan(0));
    it.each(paged)('$name', async (c) => {
      setDefaultDevice(device);
      await runCase(device, op, c, 7);
    });
  },
);
