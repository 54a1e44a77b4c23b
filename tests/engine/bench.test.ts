// `benchModel` on tiny random models: what it reports, and that a token costs what the shape says.

import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { modelFile } from '../../bench/model-file.ts';
import { activeWeights, type BenchShape, bytesPerToken } from '../../bench/shapes.ts';
import { addonPath } from '../../src/device/cpu/addon.ts';
import type { CpuReport } from '../../src/device/cpu/doctor.ts';
import { benchModel, floors } from '../../src/engine/bench.ts';
import { inspectModel } from '../../src/engine/inspect.ts';

// Sizes at which packing pads nothing.
const dense: BenchShape = {
  name: 'dense',
  description: 'for tests',
  architecture: 'llama',
  layers: 2,
  hidden: 128,
  heads: 4,
  kvHeads: 2,
  headDim: 32,
  inner: 256,
  vocab: 512,
  tied: true,
  ropeBase: 10_000,
};
const sparse: BenchShape = {
  ...dense,
  name: 'sparse',
  architecture: 'qwen3moe',
  tied: false,
  experts: { count: 16, used: 3 },
  headNorms: true,
};

const hybrid: BenchShape = {
  ...sparse,
  name: 'hybrid',
  architecture: 'lfm2moe',
  tied: true,
  layers: 3,
  dense: { layers: 1, inner: 128 },
  convolutions: { taps: 3, attention: [1] },
};
const biased: BenchShape = {
  ...sparse,
  name: 'biased',
  architecture: 'gpt-oss',
  headNorms: false,
  biased: true,
  window: 16,
  formats: { experts: 'MXFP4', others: 'Q8_0' },
};

const unmeasured: CpuReport = {
  cpu: 'a CPU',
  threads: 1,
  levels: [],
  bandwidthGBs: 0,
  int8Tops: 0,
  bf16Tflops: 0,
  f32Tflops: 0,
  memory: { totalBytes: 0, freeBytes: 0 },
};

let folder: string;
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'ingot-bench-'));
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

describe('the cost of a token', () => {
  it.each([dense, { ...dense, name: 'untied', tied: false }, sparse, hybrid, biased])(
    'of $name is that of its shape',
    async (shape) => {
      const { perToken } = await inspectModel(await modelFile(shape, folder));
      expect(perToken).toEqual({ weights: activeWeights(shape), bytes: bytesPerToken(shape) });
    },
  );

  it('sets the floors: bandwidth for decode, the int8 peak for prefill', () => {
    const cost = { weights: 1e9, bytes: 5e8 };
    expect(floors({ bandwidthGBs: 20, int8Tops: 3 }, cost)).toEqual({ decode: 40, prefill: 1500 });
  });
});

describe('benchModel', () => {
  const sizes = { promptTokens: 20, decodeTokens: 3, runs: 2 };

  it('measures on plain TypeScript, without limits', async () => {
    const seen: [number, number][] = [];
    const report = await benchModel(await modelFile(dense, folder), {
      ...sizes,
      device: 'js',
      onTokens: (done, total) => seen.push([done, total]),
    });
    expect(report).toMatchObject({ ...sizes, device: 'js', cpu: undefined });
    for (const { min, median, max, limit } of [report.prefill, report.decode]) {
      expect(min).toBeGreaterThan(0);
      expect(median).toBeGreaterThanOrEqual(min);
      expect(max).toBeGreaterThanOrEqual(median);
      expect(limit).toBeUndefined();
    }
    expect(seen).toEqual([24, 48, 72].map((done) => [done, 72]));
  });

  it.skipIf(!addonPath())('has the limits of the CPU device', async () => {
    const path = await modelFile(sparse, folder);
    const measured = { threads: 0, cpu: { ...unmeasured, bandwidthGBs: 20, int8Tops: 1.5 } };
    const report = await benchModel(path, { ...sizes, device: 'cpu', threads: 1 }, async (device) => {
      measured.threads = device.info.threads;
      return measured.cpu;
    });
    expect(measured.threads).toBe(1);
    expect(report.cpu).toBe(measured.cpu);
    const limits = floors(measured.cpu, { weights: activeWeights(sparse), bytes: bytesPerToken(sparse) });
    expect(report.decode.limit).toBe(limits.decode);
    expect(report.prefill.limit).toBe(limits.prefill);
  });

  it('passes on that a prompt does not fit the context', async () => {
    await expect(
      benchModel(await modelFile(dense, folder), { ...sizes, device: 'js', contextLength: 10 }),
    ).rejects.toThrow(/20 tokens/);
  });
});
