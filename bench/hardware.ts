// The machine a benchmark runs on: the CPU, or a GPU. What it is called, and its limits, measured in the same run.

import { openCpuDevice } from '../src/device/cpu/device.ts';
import { cpuReport } from '../src/device/cpu/doctor.ts';
import { gpuReport } from '../src/device/webgpu/doctor.ts';
import { openNodeGpu } from '../src/device/webgpu/node.ts';
import type { Limits } from './cases.ts';

export interface Hardware {
  readonly device: 'cpu' | 'webgpu';
  /** Name of the processor or GPU, threads and instruction set, as they stand in results. */
  readonly description: {
    readonly cpu: string;
    readonly threads: number;
    readonly level: string;
  };
  limits(): Promise<Limits>;
}

export async function openHardware(device: 'cpu' | 'webgpu'): Promise<Hardware> {
  const { cpu, threads, level } = openCpuDevice().info;
  if (device === 'cpu') {
    return {
      device,
      description: { cpu, threads, level },
      async limits() {
        const { bandwidthGBs, int8Tops } = await cpuReport();
        return { bandwidthGBs, tops: int8Tops };
      },
    };
  }
  const gpu = await openNodeGpu();
  const { name } = gpu.identity;
  gpu.dispose();
  return {
    device,
    description: { cpu: name, threads, level: 'webgpu' },
    async limits() {
      const probe = await openNodeGpu();
      try {
        const { copyGBs, matrixTflops } = await gpuReport(probe);
        return { bandwidthGBs: copyGBs ?? 0, tops: matrixTflops ?? 0 };
      } finally {
        probe.dispose();
      }
    },
  };
}
