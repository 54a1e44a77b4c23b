import { afterAll, describe, expect, it } from 'vitest';
import type { Device } from '../../src/device/device.ts';
import type { DecoderConfig } from '../../src/models/config/decoder.ts';
import type { Precision } from '../../src/models/contract.ts';
import { parseModel } from '../../src/models/registry.ts';
import { findSourceFormat } from '../../src/quant/registry.ts';
import {
  dequantized,
  memoryLoader,
  randomTensors,
  type TensorLookup,
  tinyConfigs,
} from '../../src/testing/tiny-models.ts';
import { difference, exactBound, fastRms, rms } from './compare.ts';
import { cpuDevice, jsDevice, whyNoCpu } from './devices.ts';
import { ModelRunner } from './runner.ts';

type Family = keyof typeof tinyConfigs;

/** Every format on one family, and two of them on all: kernels differ by format, models by family. */
const formats = [
  'q4_0',
  'q4_1',
  'q8_0',
  'q4_k',
  'q6_k',
  'mlx4/64/bf16',
  'mlx4/32/f16',
  'mlx8/64/bf16',
  'mlx8/128/f32',
];
const cases: readonly Case[] = [
  ...formats.map((format) => ({ family: 'llama' as const, format })),
  ...(['mistral', 'qwen3', 'qwen3-moe'] as const).flatMap((family) =>
    ['q4_0', 'q6_k'].map((format) => ({ family, format })),
  ),
];

const tokens = [3, 17, 92, 5, 5, 60, 41, 8, 77, 30, 12];

interface Result {
  readonly logits: Float32Array;
  readonly config: DecoderConfig;
}

/** K-quants are searched for: the tensors of a case are made once for all devices. */
const tensors = new Map<string, TensorLookup>();
function tensorsOf({ family, format }: Case): TensorLookup {
  const key = `${family} ${format}`;
  const known = tensors.get(key) ?? randomTensors({ seed: 7, format: findSourceFormat(format)! });
  tensors.set(key, known);
  return known;
}

interface Case {
  readonly family: Family;
  readonly format: string;
}

/** Logits of the tokens with random weights stored in the case's format, or with the same numbers dequantised to f32. */
async function logits(device: Device, c: Case, precision: Precision, inF32: boolean): Promise<Result> {
  const { family } = c;
  const lookup = inF32 ? dequantized(tensorsOf(c)) : tensorsOf(c);
  const loader = memoryLoader(device, lookup, () => false);
  const parsed = parseModel(tinyConfigs[family], `${family}/config.json`);
  const model = parsed.build(loader, { device, precision });
  const runner = new ModelRunner(device, model, { capacity: 16, maxRows: 8, kv: 'f32' });
  const result = await runner.logits(tokens, [8, 1]);
  runner.dispose();
  model.dispose();
  loader.dispose();
  return { logits: result, config: parsed.config as DecoderConfig };
}

/** The f32 model on plain TypeScript is what everything is compared with. */
const references = new Map<string, Promise<Result>>();
function reference(c: Case): Promise<Result> {
  const key = `${c.family} ${c.format}`;
  const known = references.get(key) ?? logits(jsDevice, c, 'exact', true);
  references.set(key, known);
  return known;
}

const devices: readonly Device[] = cpuDevice === undefined ? [jsDevice] : [jsDevice, cpuDevice];

describe.each(devices)('quantised weights in exact precision on $name', (device) => {
  it.each(cases)('$family $format gives the logits of the dequantised weights', async (c) => {
    const want = await reference(c);
    const got = await logits(device, c, 'exact', false);
    const report = difference(got.logits, want.logits, want.config.vocabSize);
    const bound = exactBound(want.config, tokens.length, Math.max(...want.logits.map(Math.abs)));
    expect(report.max, `${report.worst}; mean ${report.mean}, p99 ${report.p99}`).toBeLessThanOrEqual(bound);
  });
});

describe.skipIf(cpuDevice === undefined)(
  `quantised weights in fast precision on the CPU device${whyNoCpu}`,
  () => {
    it.each(cases)('$family $format stays near the dequantised weights', async (c) => {
      const want = await reference(c);
      const got = await logits(cpuDevice as Device, c, 'fast', false);
      const report = difference(got.logits, want.logits, want.config.vocabSize);
      const typical = fastRms(want.config, rms(want.logits));
      expect(report.rms, `${report.worst}; max ${report.max}`).toBeLessThanOrEqual(2 * typical);
    });
  },
);

it('quantising changes the logits by more than the bound, so the comparison can fail', async () => {
  const c = { family: 'llama', format: 'q8_0' } as const;
  const want = await reference(c);
  const unquantised = await logits(jsDevice, { family: 'llama', format: 'f32' }, 'exact', false);
  const report = difference(unquantised.logits, want.logits, want.config.vocabSize);
  const bound = exactBound(want.config, tokens.length, Math.max(...want.logits.map(Math.abs)));
  expect(report.max).toBeGreaterThan(3 * bound);
});

afterAll(() => {
  jsDevice.dispose();
  cpuDevice?.dispose();
});
