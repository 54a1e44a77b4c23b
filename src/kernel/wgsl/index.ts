// The kernels that have WGSL. Adding one is a file and a line here.

import type { GpuKernel } from './contract.ts';
import { embedKernel } from './embed.ts';
import { linearKernel } from './linear/index.ts';
import { moeDownKernel } from './moe-down.ts';
import { moeGluKernel } from './moe-glu.ts';
import { rmsNormKernel } from './rms-norm.ts';

export const gpuKernels: readonly GpuKernel[] = [
  embedKernel,
  linearKernel,
  moeDownKernel,
  moeGluKernel,
  rmsNormKernel,
];

const byName: ReadonlyMap<string, GpuKernel> = new Map(gpuKernels.map((k) => [k.name, k]));

/** The kernel of this name, or undefined. */
export const findGpuKernel = (name: string): GpuKernel | undefined => byName.get(name);
