// `--check`: every op's cases on this machine's GPU, once with all it offers and once without each optional feature, so that
// every variant that can run here has run here. One line per failure, one per configuration.

import { setDefaultDevice } from '../src/array/context.ts';
import { openNodeGpu } from '../src/device/webgpu/node.ts';
import { conformanceChecks } from '../src/testing/device-conformance.ts';

const configurations: readonly { readonly name: string; readonly without: readonly string[] }[] = [
  { name: 'all features', without: [] },
  { name: 'no subgroup matrices', without: ['chromium-experimental-subgroup-matrix'] },
  {
    name: 'baseline',
    without: [
      'shader-f16',
      'subgroups',
      'chromium-experimental-subgroup-matrix',
      'packed_4x8_integer_dot_product',
    ],
  },
];

/** Runs the suite; true when all passed. */
export async function checkGpu(write: (line: string) => void): Promise<boolean> {
  let good = true;
  for (const { name, without } of configurations) {
    const device = await openNodeGpu({ without, software: true });
    const start = performance.now();
    let passed = 0;
    const failed: string[] = [];
    setDefaultDevice(device);
    for (const check of conformanceChecks()) {
      try {
        await check.run(device);
        passed++;
      } catch (error) {
        failed.push(check.name);
        write(`  ${check.name}: ${(error instanceof Error ? error.message : String(error)).slice(0, 400)}`);
      }
    }
    good &&= failed.length === 0;
    const seconds = ((performance.now() - start) / 1000).toFixed(1);
    write(`${name}: ${passed} passed, ${failed.length} failed in ${seconds} s on ${device.description}`);
    device.dispose();
  }
  return good;
}
