// Every op's cases on every device of this machine.

import { afterAll, describe, it } from 'vitest';
import { setDefaultDevice } from '../../src/array/context.ts';
import { openCpuDevice } from '../../src/device/cpu/device.ts';
import type { Device } from '../../src/device/device.ts';
import { openJsDevice } from '../../src/device/js/device.ts';
import { conformanceChecks } from '../../src/testing/device-conformance.ts';

/** Checks a device does not pass, by name, each with the reason. */
const skips: Readonly<Record<string, Readonly<Record<string, string>>>> = {};

function open(make: () => Device): Device | string {
  try {
    return make();
  } catch (error) {
    return error instanceof Error ? error.message : String(error);
  }
}

const devices: readonly (readonly [string, Device | string])[] = [
  ['js', openJsDevice()],
  ['cpu', open(() => openCpuDevice())],
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
