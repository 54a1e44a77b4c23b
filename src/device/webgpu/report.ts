// GPUs of this machine for `ingot doctor --gpu`: each measured, or the reason why there is none.

import { IngotError } from '../../base/errors.ts';
import { isSoftware, nameOf, openAdapter } from './adapter.ts';
import { type GpuReport, gpuReport } from './doctor.ts';
import { listAdapters, loadDawn, noAdapterReason } from './node.ts';

export interface GpuList {
  readonly gpus: readonly (GpuReport & { readonly software: boolean })[];
  /** What is missing when there is no hardware GPU. */
  readonly problem: string | undefined;
}

export async function listGpus(): Promise<GpuList> {
  try {
    const dawn = await loadDawn();
    const adapters = await listAdapters(dawn);
    const gpus: (GpuReport & { software: boolean })[] = [];
    for (const adapter of adapters) {
      const device = await openAdapter(adapter, dawn.wgslLanguageFeatures);
      try {
        gpus.push({ ...(await gpuReport(device)), software: isSoftware(adapter) });
      } finally {
        device.dispose();
      }
    }
    return { gpus, problem: problemOf(adapters) };
  } catch (error) {
    if (!(error instanceof IngotError)) throw error;
    return { gpus: [], problem: error.message };
  }
}

function problemOf(adapters: readonly GPUAdapter[]): string | undefined {
  const hardware = adapters.filter((a) => !isSoftware(a));
  if (hardware.length === 0) return noAdapterReason();
  const without = hardware.filter((a) => !a.features.has('shader-f16'));
  return without.length === 0
    ? undefined
    : `no f16 on ${without.map(nameOf).join(', ')}: kernels use f32, slower`;
}
