// Picks a device by name. Without the native addon the plain-TypeScript executor runs the same plans, and says so once.

import { IngotError } from '../base/errors.ts';
import { warnOnce } from '../base/log.ts';
import type { Device } from './device.ts';

export const deviceNames = ['auto', 'cpu', 'js'] as const;
export type DeviceName = (typeof deviceNames)[number];

export interface OpenDeviceOptions {
  readonly threads?: number | undefined;
  /** Forced instruction-set level of the CPU device. */
  readonly level?: string | undefined;
}

/**
 * Opens a device: `cpu` is the native addon, `js` plain TypeScript, `auto` the fastest of the two that works here.
 * @throws IngotError `unsupported` when `cpu` is asked for and the addon is missing; `invalid_argument` for an unknown name.
 */
export async function openDevice(name: DeviceName, options: OpenDeviceOptions = {}): Promise<Device> {
  if (!deviceNames.includes(name)) {
    throw new IngotError(
      'invalid_argument',
      `unknown device '${name}': use one of ${deviceNames.join(', ')}`,
    );
  }
  if (name !== 'js') {
    try {
      const { openCpuDevice } = await import('./cpu/device.ts');
      return openCpuDevice(options);
    } catch (error) {
      if (name === 'cpu' || !(error instanceof IngotError) || error.code !== 'unsupported') throw error;
      warnOnce('no-addon', `${error.message}. Running on plain TypeScript, which is many times slower.`);
    }
  }
  const { openJsDevice } = await import('./js/device.ts');
  return openJsDevice();
}
