// The WGSL of variants that the software GPU cannot run: Dawn's null backend has every feature, compiles shaders and runs none.

import { beforeAll, describe, expect, it } from 'vitest';
import { type GpuParam, KernelRequest } from '../../src/kernel/wgsl/contract.ts';
import { findGpuKernel } from '../../src/kernel/wgsl/index.ts';
import { complaint, h100, openNullGpu } from './null-gpu.ts';

interface Case {
  readonly kernel: string;
  readonly params: readonly GpuParam[];
  readonly bytes: readonly number[];
}

const rows = { scalar: 'rows', mul: 1, add: 0 };
const attention = (headDim: number, f16: boolean, paged = false): Case => {
  const [H, Hkv, cap, maxRows] = [32, 8, 8192, 512];
  const q = maxRows * H * headDim * 4;
  const cache = Hkv * cap * headDim * (f16 ? 2 : 4);
  return {
    kernel: 'attention',
    params: [rows, H, Hkv, headDim, cap, f16 ? 1 : 0, 0.125, 0, 0, 0, ...(paged ? [64, 256] : [])],
    bytes: [q, cache, cache, maxRows * 4, 0, q, ...(paged ? [maxRows * 4, 64 * 256 * 4] : [])],
  };
};
const cases: readonly Case[] = [
  ...[64, 80, 128, 256].flatMap((headDim) => [true, false].map((f16) => attention(headDim, f16))),
  attention(64, true, true),
  attention(128, false, true),
];

describe('WGSL for an H100', () => {
  let gpu: GPUDevice;
  beforeAll(async () => {
    gpu = await openNullGpu();
  });

  for (const { kernel, params, bytes } of cases) {
    it(`${kernel} ${params.map((p) => (typeof p === 'number' ? p : p.scalar)).join(' ')}`, async () => {
      const most = 8;
      for (let choice = 0; choice < most; choice++) {
        const request = new KernelRequest({
          name: kernel,
          params,
          bytes,
          caps: h100,
          scalars: ['rows'],
          choose: (_, candidates) => candidates[choice % candidates.length] ?? '',
        });
        const plan = findGpuKernel(kernel)?.plan(request);
        for (const pass of plan?.variants.flatMap((v) => v.passes) ?? []) {
          expect(await complaint(gpu, pass)).toBeUndefined();
        }
      }
    });
  }
});
