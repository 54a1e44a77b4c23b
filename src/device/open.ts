// Picks a device by name. Without the native addon the plain-TypeScript executor runs the same plans, and says so once.

import { existsSync } from 'node:fs';
import { IngotError } from '../base/errors.ts';
import { warnOnce } from '../base/log.ts';
import type { Device } from './device.ts';

export const deviceNames = ['auto', 'cpu', 'webgpu', 'js'] as const;
/** `webgpu:1` is the second GPU that `ingot doctor --gpu` lists. */
export type DeviceName = (typeof deviceNames)[number] | `webgpu:${number}`;

export interface OpenDeviceOptions {
  readonly threads?: number | undefined;
  /** Forced instruction-set level of the CPU device. */
  readonly level?: string | undefined;
  /** Bytes that a GPU's buffers may take. */
  readonly memoryLimit?: number | undefined;
}

/**
 * Opens a device: `webgpu` is a GPU, `cpu` the native addon, `js` plain TypeScript. `auto` takes a hardware GPU when there
 * is one, then the addon, then plain TypeScript; it never takes a software GPU.
 * @throws IngotError `unsupported` when what is asked for by name is missing; `invalid_argument` for an unknown name.
 */
export async function openDevice(name: DeviceName, options: OpenDeviceOptions = {}): Promise<Device> {
  const gpu = /^webgpu(?::(\d+))?$/.exec(name);
  if (gpu !== null) return openGpu(gpu[1] === undefined ? undefined : Number(gpu[1]), options);
  if (!(deviceNames as readonly string[]).includes(name)) {
    throw new IngotError(
      'invalid_argument',
      `unknown device '${name}': use one of ${deviceNames.join(', ')}, or webgpu:N`,
    );
  }
  if (name === 'auto') {
    const found = await hardwareGpu(options);
    if (found !== undefined) return found;
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
  const [{ openJsDevice }, { readFile }] = await Promise.all([
    import('./js/device.ts'),
    import('./files.ts'),
  ]);
  return openJsDevice({ readFile });
}

async function openGpu(index: number | undefined, { memoryLimit }: OpenDeviceOptions): Promise<Device> {
  const [{ openNodeGpu }, { fileChoices }] = await Promise.all([
    import('./webgpu/node.ts'),
    import('./webgpu/choice-file.ts'),
  ]);
  return openNodeGpu({ index, memoryLimit, choices: fileChoices });
}

/** A GPU, if this machine shows signs of one: loading WebGPU to find none would cost every start 0.1 s. */
async function hardwareGpu(options: OpenDeviceOptions): Promise<Device | undefined> {
  const signs = ['/dev/nvidiactl', '/dev/dri', '/dev/dxg', '/dev/kfd'];
  if (process.platform === 'linux' && !signs.some((path) => existsSync(path))) return undefined;
  try {
    return await openGpu(undefined, options);
  } catch (error) {
    if (error instanceof IngotError && error.code === 'unsupported') return undefined;
    throw error;
  }
}
