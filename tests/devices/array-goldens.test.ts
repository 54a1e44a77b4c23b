// Array functions against NumPy and PyTorch, on the plain device and on the CPU, and a part of them on a (software) GPU.

import { afterAll, describe, it } from 'vitest';
import { setDefaultDevice } from '../../src/array/context.ts';
import { clearCache } from '../../src/array/eager.ts';
import { openCpuDevice } from '../../src/device/cpu/device.ts';
import type { Device } from '../../src/device/device.ts';
import { openJsDevice } from '../../src/device/js/device.ts';
import { openNodeGpu } from '../../src/device/webgpu/node.ts';
import { type GoldenCase, goldenCases, runGolden } from './array-goldens.ts';

const cases = goldenCases();
/** Every tenth: a software GPU compiles each for a tenth of a second. */
const some = cases.filter((_, i) => i % 10 === 0);

const devices: readonly (readonly [string, () => Promise<Device>, readonly GoldenCase[]])[] = [
  ['js', async () => openJsDevice(), cases],
  ['cpu', async () => openCpuDevice(), cases],
  ['webgpu', () => openNodeGpu({ software: true }), some],
];

for (const [name, open, list] of devices) {
  const device = await open().catch((error: Error) => error.message);
  if (typeof device === 'string') {
    describe.skip(`device ${name}: ${device}`, () => it('is not available', () => undefined));
    continue;
  }
  describe(`device ${name}`, () => {
    afterAll(() => {
      clearCache(device);
      device.dispose();
    });
    const names = [...new Set(list.map((c) => c.f))];
    for (const f of names) {
      it(f, async () => {
        setDefaultDevice(device);
        for (const c of list.filter((x) => x.f === f)) await runGolden(c);
      });
    }
  });
}
