// Devices that model tests run on: plain TypeScript always, the native addon where it is built, WebGPU where there is a driver.

import type { Device } from '../../src/device/device.ts';
import { openDevice } from '../../src/device/open.ts';
import { openNodeGpu } from '../../src/device/webgpu/node.ts';

export const jsDevice: Device = await openDevice('js');

const cpu = await openDevice('cpu').catch((error: unknown) => error);
const failed = cpu instanceof Error;

/** Undefined without the addon; `whyNoCpu` says why. */
export const cpuDevice: Device | undefined = failed ? undefined : (cpu as Device);

/** ` (skipped: reason)` for the title of a group that needs the CPU device; empty when it is there. */
export const whyNoCpu: string = failed ? ` (skipped: ${cpu.message})` : '';

const gpu = await openNodeGpu({ software: true }).catch((error: unknown) => error);

/** Undefined without a Vulkan driver; `whyNoGpu` says why. A software GPU counts. */
export const gpuDevice: Device | undefined = gpu instanceof Error ? undefined : (gpu as Device);

/** Like `whyNoCpu`. */
export const whyNoGpu: string = gpu instanceof Error ? ` (skipped: ${gpu.message})` : '';
