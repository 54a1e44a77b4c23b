// The kernels that have WGSL. Adding one is a file and a line here.

import type { GpuKernel } from './contract.ts';
import { copyKernel } from './copy.ts';
import { gatherKernel } from './gather.ts';
import { reduceKernel } from './reduce.ts';
import { rmsNormKernel } from './rms-norm.ts';
import { scatterAddKernel } from './scatter-add.ts';
import { tileKernel } from './tile.ts';

export const gpuKernels: readonly GpuKernel[] = [
  copyKernel,
  gatherKernel,
  scatterAddKernel,
  reduceKernel,
  rmsNormKernel,
  tileKernel,
];

const byName: ReadonlyMap<string, GpuKernel> = new Map(gpuKernels.map((k) => [k.name, k]));

/** The kernel of this name, or undefined. */
export const findGpuKernel = (name: string): GpuKernel | undefined => byName.get(name);
