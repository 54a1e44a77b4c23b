// The WGSL of variants that the software GPU cannot run: Dawn's null backend has every feature, compiles shaders and runs none.

import { beforeAll, describe, expect, it } from 'vitest';
import type { KernelName, Param } from '../../src/kernel/signature.ts';
import {
  type GpuCapabilities,
  type GpuPass,
  KernelRequest,
  wgslSource,
} from '../../src/kernel/wgsl/contract.ts';
import { findGpuKernel } from '../../src/kernel/wgsl/index.ts';
import { complaint, h100, openNullGpu } from './null-gpu.ts';

interface Case {
  readonly kernel: KernelName;
  readonly params: readonly Param[];
  readonly bytes: readonly number[];
}

const rows = { scalar: 'rows', mul: 1, add: 0 };
const attention = (headDim: number, f16: boolean, paged = false): Case => {
  const [H, Hkv, cap, maxRows] = [32, 8, 8192, 512];
  const q = maxRows * H * headDim * 4;
  const cache = Hkv * cap * headDim * (f16 ? 2 : 4);
  return {
    kernel: 'attention',
    params: [rows, H, Hkv, headDim, cap, f16 ? 1 : 0, 0.125, 0, 0, 0, ...(paged ? [64, 256] : [0, 0]), 0],
    bytes: [q, cache, cache, maxRows * 4, 0, q, ...(paged ? [maxRows * 4, 64 * 256 * 4] : [0, 0])],
  };
};
/** rope_kv of Qwen3's kind: norms, f16 cache, pages. */
const ropeKv = (headDim: number, paged: boolean): Case => {
  const [H, Hkv, cap, maxRows] = [32, 8, 8192, 512];
  const [q, kv, cache] = [H, Hkv, (Hkv * cap) / maxRows / 2].map((n) => n * maxRows * headDim * 4) as [
    number,
    number,
    number,
  ];
  const table = paged ? [maxRows * 4, 64 * 256 * 4] : [0, 0];
  return {
    kernel: 'rope_kv',
    params: [rows, H, Hkv, headDim, headDim, 0, 1, 1e-6, cap, 1, 0, ...(paged ? [64, 256] : [0, 0])],
    bytes: [q, kv, kv, maxRows * 4, headDim * 2, headDim * 4, headDim * 4, cache, cache, q, ...table],
  };
};
const [B, V, n] = [64, 128256, 20];
const cases: readonly Case[] = [
  ...[64, 80, 128, 256].flatMap((headDim) => [true, false].map((f16) => attention(headDim, f16))),
  attention(64, true, true),
  attention(128, false, true),
  ropeKv(128, true),
  ropeKv(80, false),
  {
    kernel: 'kv_write',
    params: [rows, 8, 66, 512, 1, 100, 0, 0],
    bytes: [8448, 8448, 16, 540672, 540672, 0, 0],
  },
  { kernel: 'rope', params: [rows, 3, 33, 16, 1, 1.5, 1e-6, 1], bytes: [792, 8, 32, 792, 0] },
  { kernel: 'moe_route', params: [rows, 384, 8, 1, 0, 0, 2.5], bytes: [8 * 384 * 4, 0, 256, 256] },
  { kernel: 'moe_route', params: [rows, 384, 8, 1, 1e-20, 2, 2.5], bytes: [8 * 384 * 4, 384 * 4, 256, 256] },
  { kernel: 'layer_norm', params: [rows, 768, 1e-5, 0], bytes: [6144, 3072, 3072, 6144, 0, 0] },
  { kernel: 'rms_norm', params: [rows, 768, 1e-5, 0, 1], bytes: [3072, 1536, 3072, 3072, 3072, 3072] },
  { kernel: 'softmax', params: [rows, 768, 1, 0], bytes: [6144, 6144] },
  { kernel: 'softmax', params: [rows, 768, 0, 2], bytes: [3072, 3072] },
  { kernel: 'sample', params: [rows, V, n], bytes: [B * V * 4, B * 48, B * 4, B * 4, B * n * 4, B * n * 4] },
  {
    kernel: 'penalize',
    params: [rows, V, B, B, 9],
    bytes: [B * V * 4, B * 48, B * V * 4, B * V, 36, 36, 36],
  },
  { kernel: 'count', params: [rows, V, B], bytes: [256, B * V * 4, 256, 256] },
];

/** The least that WebGPU promises. */
const least: GpuCapabilities = {
  ...h100,
  f16: false,
  subgroups: undefined,
  dot4: false,
  subgroupMatrices: [],
  maxWorkgroupBytes: 16384,
  maxInvocations: 256,
  maxStorageBuffers: 8,
  vendor: '',
};

/** Every pass of every choice. */
function passesOf({ kernel, params, bytes }: Case, caps: GpuCapabilities): readonly GpuPass[] {
  const found = new Map<string, GpuPass>();
  for (let choice = 0; choice < 8; choice++) {
    const choose = (_: string, candidates: readonly string[]): string =>
      candidates[choice % candidates.length] ?? '';
    const request = new KernelRequest({ name: kernel, params, bytes, caps, scalars: ['rows'], choose });
    const passes =
      findGpuKernel(kernel)
        ?.plan(request)
        .variants.flatMap((v) => v.passes) ?? [];
    for (const pass of passes) found.set(wgslSource(pass), pass);
  }
  return [...found.values()];
}

describe('WGSL that the software GPU cannot run', () => {
  let gpu: GPUDevice;
  beforeAll(async () => {
    gpu = await openNullGpu();
  });
  const named = cases.map(
    (c) =>
      [`${c.kernel} ${c.params.map((p) => (typeof p === 'number' ? p : p.scalar)).join(' ')}`, c] as const,
  );

  it.each(named)('on an H100: %s', async (_, c) => {
    for (const pass of passesOf(c, h100)) expect(await complaint(gpu, pass)).toBeUndefined();
  });

  it.each(named)('on the least GPU: %s', async (_, c) => {
    for (const pass of passesOf(c, least)) {
      expect(pass.bindings.length, pass.name).toBeLessThanOrEqual(least.maxStorageBuffers);
      expect(pass.enables ?? [], pass.name).toEqual([]);
      expect(await complaint(gpu, pass)).toBeUndefined();
    }
  });

  it.each([
    ['rope-kv', ropeKv(128, true), 0],
    ['attention-splits', attention(64, true, true), 0],
    ['attention-combine', attention(64, true, true), 1],
    ['attention-tiles', attention(64, true), 2],
    ['sample-finish', named.find(([, c]) => c.kernel === 'sample')?.[1], 3],
  ])('%s reads as it was reviewed', async (file, c, pass) => {
    const passes = c === undefined ? [] : passesOf(c, h100);
    const code = passes[pass] === undefined ? '' : wgslSource(passes[pass]);
    await expect(code).toMatchFileSnapshot(`../../src/kernel/wgsl/__snapshots__/${file}.wgsl`);
  });
});
