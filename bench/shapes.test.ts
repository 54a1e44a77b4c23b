// The shapes against the published sizes of the models they copy, and the arithmetic behind the limits.

import { describe, expect, it } from 'vitest';
import { cases, randomPrompt } from './cases.ts';
import {
  activeWeights,
  type BenchShape,
  bytesPerToken,
  bytesPerWeight,
  shapes,
  tensorsOf,
} from './shapes.ts';

const shape = (name: string): BenchShape => shapes.find((s) => s.name === name)!;
const weights = (s: BenchShape): number =>
  tensorsOf(s).reduce((sum, t) => sum + t.dims.reduce((a, b) => a * b, 1), 0);

describe('shapes', () => {
  it('have the parameter counts of the models', () => {
    expect(weights(shape('smol'))).toBe(134_515_008); // SmolLM2-135M
    expect(weights(shape('l1b'))).toBe(1_235_814_400); // Llama-3.2-1B
    expect(weights(shape('gemma1b'))).toBe(999_885_952); // Gemma-3-1B
    // LFM2-8B-A1B, whose published count leaves out what corrects the router.
    expect(weights(shape('lfm8b')) - 22 * 32).toBe(8_339_929_856);
    expect(weights({ ...shape('oss10b'), layers: 24 })).toBe(20_914_757_184); // GPT-OSS-20B
    expect(weights(shape('moe8b'))).toBeGreaterThan(8.9e9);
    expect(weights(shape('moe8b'))).toBeLessThan(9.0e9);
  });

  it('count the bytes of a dense token as every matrix once', () => {
    for (const name of ['smol', 'l1b', 'gemma1b']) {
      const bytes = tensorsOf(shape(name)).reduce(
        (sum, t) => sum + t.dims.reduce((a, b) => a * b, bytesPerWeight[t.type]),
        0,
      );
      expect(bytesPerToken(shape(name))).toBe(bytes);
    }
  });

  it('count four of 32 experts for a token of the mixture', () => {
    const s = shape('moe8b');
    const allExperts = 3 * 32 * s.inner * s.hidden * s.layers;
    const embedding = s.vocab * s.hidden;
    const router = s.layers * 32 * s.hidden;
    const matrices = tensorsOf(s)
      .filter((t) => t.type === 'Q4_0')
      .reduce((sum, t) => sum + t.dims.reduce((a, b) => a * b, 1), 0);
    expect(activeWeights(s)).toBe(matrices - (allExperts * 28) / 32 - 2 * embedding + router);
    expect(bytesPerToken(s) / 1e6).toBeCloseTo(
      (activeWeights(s) - router + embedding) * bytesPerWeight.Q4_0 * 1e-6 + 6.8,
      0,
    );
  });

  it('count what a token of LFM2 and of GPT-OSS reads', () => {
    const lfm = shape('lfm8b');
    const expertsOfLayer = 4 * 3 * 1792 * 2048;
    const convolution = 4 * 2048 * 2048;
    const attention = 2 * 2048 * 64 * (32 + 8);
    const layers = 18 * convolution + 6 * attention + 2 * 3 * 7168 * 2048 + 22 * (expertsOfLayer + 32 * 2048);
    expect(activeWeights(lfm)).toBe(layers);
    // 12 layers: a window in half of them changes no weight; the embedding is not the output matrix.
    const oss = shape('oss10b');
    const perLayer = (2 * 2880 * 64 * (64 + 8) * 34) / 32 + (4 * 3 * 2880 * 2880 * 17) / 32;
    const floats = 2880 * 32 + 32 + 64 * (64 + 16) + 64 + 3 * 2880 + 4 * 3 * 2880;
    expect(bytesPerToken(oss)).toBe(12 * (perLayer + 4 * floats) + (201_088 * 2880 * 34) / 32 + 4 * 2880);
  });
});

describe('cases', () => {
  const [decode, prefill] = [cases[0]!, cases[1]!];

  it('turn times into rates', () => {
    const times = { firstTokenMs: 256, tokenMs: [10, 10, 20, 10] };
    expect(decode.tokensPerSecond(times)).toBe(80);
    expect(decode.cost(times)).toBe(50);
    expect(prefill.tokensPerSecond(times)).toBe(2000);
    expect(prefill.cost(times)).toBe(256);
  });

  it('hold decode against bandwidth and prefill against int8 operations', () => {
    const limits = { bandwidthGBs: 40, tops: 1 };
    expect(decode.ceiling(shape('l1b'), limits)).toBeCloseTo(57.5, 1);
    expect(prefill.ceiling(shape('l1b'), limits)).toBeCloseTo(1e12 / (2 * 973_078_528), 1);
  });

  it('draw reproducible prompts of ordinary tokens, different in each round', () => {
    const s = shape('smol');
    const first = randomPrompt(s, 512, 0);
    expect(first).toEqual(randomPrompt(s, 512, 0));
    expect(first).not.toEqual(randomPrompt(s, 512, 1));
    expect(new Set(first).size).toBeGreaterThan(450);
    expect(Math.min(...first)).toBeGreaterThanOrEqual(256);
    expect(Math.max(...first)).toBeLessThan(s.vocab - 256);
  });
});
