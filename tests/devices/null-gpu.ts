// Dawn without a GPU behind it: checks WGSL in full, features included that no software adapter has.

import { create } from 'webgpu';
import { type GpuCapabilities, type GpuPass, wgslSource } from '../../src/kernel/wgsl/contract.ts';

/** What kernels are told of an H100 through Dawn and Vulkan. */
export const h100: GpuCapabilities = {
  f16: true,
  subgroups: { min: 32, max: 32 },
  dot4: true,
  subgroupMatrices: [
    { m: 16, n: 16, k: 16, component: 'f16', result: 'f32' },
    { m: 16, n: 8, k: 16, component: 'f16', result: 'f32' },
    { m: 16, n: 16, k: 16, component: 'f16', result: 'f16' },
  ],
  maxWorkgroupBytes: 49152,
  maxInvocations: 1024,
  maxStorageBuffers: 16,
  maxBindingBytes: 2 ** 32 - 4,
  offsetAlignment: 256,
  vendor: 'nvidia',
};

const instance = create(['backend=null', 'enable-dawn-features=allow_unsafe_apis']);

/** A device that compiles and runs nothing. */
export async function openNullGpu(): Promise<GPUDevice> {
  const adapter = await instance.requestAdapter();
  if (adapter === null) throw new Error('Dawn was built without its null backend');
  const requiredFeatures = ['shader-f16', 'subgroups', 'chromium-experimental-subgroup-matrix'];
  return adapter.requestDevice({ requiredFeatures: requiredFeatures as GPUFeatureName[] });
}

/** What the compiler has against a pass, or undefined. Warnings count. */
export async function complaint(gpu: GPUDevice, pass: GpuPass): Promise<string | undefined> {
  gpu.pushErrorScope('validation');
  const code = wgslSource(pass);
  const { messages } = await gpu.createShaderModule({ code }).getCompilationInfo();
  await gpu.popErrorScope();
  const lines = code.split('\n');
  const [first] = messages;
  return first && `${pass.name}: ${first.message}\n${first.lineNum}: ${lines[first.lineNum - 1]}`;
}
