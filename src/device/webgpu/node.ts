// WebGPU in Node through Dawn (the package `webgpu`): which adapters there are, and how one is picked.

import { IngotError } from '../../base/errors.ts';
import { type Addon, loadAddon } from '../cpu/addon.ts';
import { openCpuDevice } from '../cpu/device.ts';
import { type PackRows, packRowsOn } from '../cpu/pack.ts';
import { openFile, readFile } from '../files.ts';
import { type AdapterOptions, isSoftware, nameOf, openAdapter } from './adapter.ts';
import type { WebGpuDevice } from './device.ts';

/**
 * Dawn's switches: experimental features, f16 on NVIDIA, no zeros in workgroup memory (kernels write before they read, and
 * SwiftShader takes seconds to compile them); and timestamps finer than 65 us.
 */
const toggles = [
  'enable-dawn-features=allow_unsafe_apis,vulkan_enable_f16_on_nvidia,disable_workgroup_init',
  'disable-dawn-features=timestamp_quantization',
];

/** Kept for the life of the process: devices crash when the instance they came from is collected. */
let instance: Promise<GPU> | undefined;

/** Dawn as a `navigator.gpu`. Throws unsupported with the reason when it cannot be loaded. */
export function loadDawn(): Promise<GPU> {
  instance ??= createInstance();
  return instance;
}

async function createInstance(): Promise<GPU> {
  try {
    const { create, globals } = await import('webgpu');
    for (const [name, value] of Object.entries(globals)) {
      if (!(name in globalThis))
        Object.defineProperty(globalThis, name, { value, configurable: true, writable: true });
    }
    return create(toggles);
  } catch (cause) {
    const missing = (cause as NodeJS.ErrnoException).code === 'ERR_MODULE_NOT_FOUND';
    const reason = missing
      ? "the package 'webgpu' is not installed, which Ingot needs for GPUs only: `npm install webgpu`"
      : `${cause instanceof Error ? cause.message : String(cause)}. Install the package 'webgpu' for this platform`;
    throw new IngotError('unsupported', `WebGPU cannot be loaded: ${reason}, or use device 'cpu'`, { cause });
  }
}

/**
 * Dawn and drivers write to standard error what they find odd about an adapter, as they look for adapters, which the calls do before
 * they return. Users can do nothing about it. Without the addon it is seen.
 */
function withoutWarnings<T>(work: () => T): T {
  const addon = addonIfAny();
  addon?.muteStderr?.(1);
  try {
    return work();
  } finally {
    addon?.muteStderr?.(0);
  }
}

function addonIfAny(): Addon | undefined {
  try {
    return loadAddon();
  } catch {
    return undefined;
  }
}

/** Adapters of this machine, hardware first, each once. */
export async function listAdapters(gpu: GPU): Promise<readonly GPUAdapter[]> {
  const asked = await Promise.all(
    withoutWarnings(() => [
      gpu.requestAdapter({ powerPreference: 'high-performance' }),
      gpu.requestAdapter({ powerPreference: 'low-power' }),
      gpu.requestAdapter({ forceFallbackAdapter: true }),
    ]),
  );
  const found = new Map<string, GPUAdapter>();
  for (const adapter of asked) {
    if (adapter !== null && !found.has(nameOf(adapter))) found.set(nameOf(adapter), adapter);
  }
  return [...found.values()].sort((a, b) => Number(isSoftware(a)) - Number(isSoftware(b)));
}

export interface NodeGpuOptions extends AdapterOptions {
  /** Number of the adapter in `listAdapters`; default: the first one that is not software. */
  readonly index?: number | undefined;
  /** Take a software adapter when there is no other. Default false. */
  readonly software?: boolean;
}

/**
 * Opens a GPU.
 * @throws IngotError `unsupported` when there is none, or none of that number; the message says what to install.
 */
export async function openNodeGpu(options: NodeGpuOptions = {}): Promise<WebGpuDevice> {
  const { index, software = false, ...rest } = options;
  const gpu = await loadDawn();
  const adapters = await listAdapters(gpu);
  const adapter = index === undefined ? adapters.find((a) => software || !isSoftware(a)) : adapters[index];
  if (adapter === undefined) {
    const names = adapters
      .map((a, i) => `${i}: ${nameOf(a)}${isSoftware(a) ? ' (software)' : ''}`)
      .join('; ');
    const what = index === undefined ? 'no GPU was found' : `there is no GPU number ${index}`;
    throw new IngotError('unsupported', `${what} (${names || noAdapterReason()}): use device 'cpu'`, {
      details: { adapters: adapters.map(nameOf) },
    });
  }
  return openAdapter(adapter, gpu.wgslLanguageFeatures, {
    readFile,
    openFile,
    packRows: nativePacker(),
    ...rest,
  });
}

/** The packer of the addon, opened when something has to be packed; undefined without the addon. */
function nativePacker(): PackRows | undefined {
  if (addonIfAny() === undefined) return undefined;
  let pack: PackRows | undefined;
  return (rows) => {
    pack ??= packRowsOn(openCpuDevice());
    return pack(rows);
  };
}

/** What a machine without a GPU lacks. */
export const noAdapterReason = (): string =>
  process.platform === 'linux'
    ? 'a Vulkan driver and the Vulkan loader are needed, libvulkan1 on Debian'
    : 'no adapter was offered';
