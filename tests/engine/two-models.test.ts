// Models share the workers of the CPU: one can be opened, with other settings too, while another computes.

import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import { addonPath } from '../../src/device/cpu/addon.ts';
import { openCpuDevice } from '../../src/device/cpu/device.ts';
import { load } from '../../src/engine/load.ts';
import type { Model } from '../../src/engine/types.ts';
import { readGolden } from '../models/goldens.ts';

const golden = readGolden('llama3-gqa');
const folder = fileURLToPath(new URL('../goldens/models/llama3-gqa', import.meta.url));
const open = (threads: number): Promise<Model> =>
  load(folder, { device: 'cpu', precision: 'exact', contextLength: 256, threads });
const missing = addonPath() === undefined;

async function continued(model: Model): Promise<number[]> {
  const tokens: number[] = [];
  const options = { maxTokens: golden.continuation.length, ignoreEos: true, temperature: 0 } as const;
  for await (const id of model.generate(golden.tokens, options)) tokens.push(id);
  return tokens;
}

describe.skipIf(missing)(`while a model computes${missing ? ' (skipped: no native addon)' : ''}`, () => {
  it('another is opened with as many workers, with more and with fewer, and both compute', async () => {
    await using first = await open(2);
    const running = Promise.all([1, 2, 3].map(() => continued(first)));
    for (const threads of [2, 3, 1, 2]) {
      await using second = await open(threads);
      expect(openCpuDevice({ threads }).info.threads).toBe(threads);
      expect(await continued(second)).toEqual(golden.continuation);
    }
    for (const tokens of await running) expect(tokens).toEqual(golden.continuation);
    expect(await continued(first)).toEqual(golden.continuation);
  });

  it('and right after one was disposed', async () => {
    const first = await open(2);
    const running = continued(first);
    first.dispose();
    await using second = await open(1);
    expect(await continued(second)).toEqual(golden.continuation);
    expect(await running).toEqual(golden.continuation);
  });
});
