// Devices that model tests run on: plain TypeScript always, the native addon where it is built.

import type { Device } from '../../src/device/device.ts';
import { openDevice } from '../../src/device/open.ts';

export const jsDevice: Device = await openDevice('js');

/** Undefined without the addon; `whyNoCpu` says why. */
export const cpuDevice: Device | undefined = await openDevice('cpu').catch(() => undefined);
