// Every op's cases on every device of this machine.

import { afterAll, describe, it } from 'vitest';
import { setDefaultDevice } from '../../src/array/context.ts';
import { openCpuDevice } from '../../src/device/cpu/device.ts';
import type { Device } from '../../src/device/device.ts';
import { openJsDevice } from '../../src/device/js/device.ts';
import { openNodeGpu } from '../../src/device/webgpu/node.ts';
import { conformanceChecks } from '../../src/testing/device-conformance.ts';

/** Products of plain layouts: a software GPU compiles each for a second, and linear-rows.test.ts and linear-tiles.test.ts have them all. */
const elsewhere = /^linear: (?!q4 |f16 )\w+ \d+ rows/;

/** Checks a device does not pass, by name, each with the reason. */
const skips: Readonly<Record<string, Readonly<Record<string, string>>>> = {};

async function open(make: () => Device | Promise<Device>): Promise<Device | string> {
  try {
    return await make();
  } catch (error) {
    return error instanceof Error ? error.message : String(error);
  }
}

const devices: readonly (readonly [string, Device | string])[] = [
  ['js', openJsDevice()],
  ['cpu', await open(() => openCpuDevice())],
  ['webgpu', await open(() => openNodeGpu({ software: true }))],
];

for (const [name, device] of devices) {
  if (typeof device === 'string') {
    describe.skip(`device ${name}: ${device}`, () => {
      it('is not available', () => undefined);
    });
    continue;
  }
  describe(`device ${name}`, () => {
    afterAll(() => device.dispose());
    for (const check of conformanceChecks()) {
      if (name === 'webgpu' && elsewhere.test(check.name)) continue;
      const reason = skips[name]?.[check.name];
      it.skipIf(reason !== undefined)(
        reason === undefined ? check.name : `${check.name} (${reason})`,
        async () => {
          setDefaultDevice(device);
          await check.run(device);
        },
      );
    }
  });
}
