// DeepSeek V4 over a prompt longer than its windows, blocks and original context (tools/goldens/families.py, `long`): at once as far as
// a row, in steps, and one by one at the end.

import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { difference } from './compare.ts';
import { cpuDevice, whyNoCpu } from './devices.ts';
import { withModel } from './from-files.ts';

const folder = new URL('../goldens/families/deepseek4/', import.meta.url).pathname;
const { tokens, rows } = JSON.parse(readFileSync(`${folder}long.json`, 'utf8')) as {
  readonly tokens: readonly number[];
  readonly rows: Readonly<Record<string, readonly number[]>>;
};

describe.skipIf(cpuDevice === undefined)(`2,000 tokens${whyNoCpu}`, () => {
  it.each([
    [16, [16]],
    [200, [200]],
    [2000, [512]],
    [2000, [301, 333, 1, 57, 1300, 1]],
  ])('%i, in steps of %j', async (length, steps) => {
    const size = { capacity: 2048, maxRows: Math.max(...steps) };
    await withModel(cpuDevice!, folder, size, async (runner) => {
      const logits = await runner.logits(tokens.slice(0, length), steps);
      const vocab = logits.length / length;
      for (const [row, want] of Object.entries(rows).filter(([at]) => Number(at) < length)) {
        const got = logits.subarray(Number(row) * vocab, (Number(row) + 1) * vocab);
        const { max, worst } = difference(got, Float32Array.from(want), vocab);
        expect(max, `row ${row}: ${worst}`).toBeLessThanOrEqual(5e-4);
      }
    });
  });
});
