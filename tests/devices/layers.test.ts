// Whole layers, fused, on the CPU device and on a software GPU against the plain-TypeScript one.

import { describe, expect, it } from 'vitest';
import { compile } from '../../src/array/compile.ts';
import { openCpuDevice } from '../../src/device/cpu/device.ts';
import type { Device } from '../../src/device/device.ts';
import { openJsDevice } from '../../src/device/js/device.ts';
import { openNodeGpu } from '../../src/device/webgpu/node.ts';
import { compare } from '../../src/testing/allclose.ts';
import { layerInputs, layerWeights, llamaLayer, qwenMoeLayer, runLayer } from '../../src/testing/layers.ts';

function openCpu(): Device | null {
  try {
    return openCpuDevice();
  } catch {
    return null;
  }
}
const cpu = openCpu();

describe.skipIf(cpu === null)('layers on the native device (skipped when the addon is not built)', () => {
  for (const [name, make] of [
    ['Llama', llamaLayer],
    ['Qwen3-MoE', qwenMoeLayer],
  ] as const) {
    for (const patterns of [undefined, [] as const]) {
      it(`${name} ${patterns === undefined ? 'fused' : 'op by op'}`, async () => {
        const js = openJsDevice();
        const want = await runLayer(
          compile(make(layerWeights(js)), { device: js, inputs: layerInputs, patterns: [] }),
        );
        const weights = layerWeights(cpu!);
        const plan = compile(make(weights), { device: cpu!, inputs: layerInputs, patterns });
        const got = await runLayer(plan);
        const result = compare(got, want, { absolute: 2e-3, relative: 2e-3 });
        expect(result.ok, result.report).toBe(true);
        plan.dispose();
        for (const w of Object.values(weights)) w.dispose();
        expect(cpu!.statistics().liveBuffers).toBe(0);
      });
    }
  }
});

const gpu = await openNodeGpu({ software: true }).catch((error: Error) => error.message);

describe.skipIf(typeof gpu === 'string')(
  `layers on the software GPU${typeof gpu === 'string' ? ` (skipped: ${gpu})` : ''}`,
  () => {
    it.each([
      ['Llama', llamaLayer, 6],
      ['Qwen3-MoE', qwenMoeLayer, 9],
    ] as const)('%s', async (_, make, most) => {
      if (typeof gpu === 'string') return;
      const js = openJsDevice();
      const want = await runLayer(
        compile(make(layerWeights(js)), { device: js, inputs: layerInputs, patterns: [] }),
      );
      const plan = compile(make(layerWeights(gpu)), { device: gpu, inputs: layerInputs });
      expect(plan.program.dispatches.length).toBeLessThanOrEqual(most);
      expect(compare(await runLayer(plan), want, { absolute: 1e-3, relative: 1e-4 })).toMatchObject({
        ok: true,
      });
    });
  },
);
