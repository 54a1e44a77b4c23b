// Experts that are read from the model's file while a GPU (a software one will do) computes: what comes out is what comes out with all of
// them in the GPU's memory, bit for bit, whatever the budget and the prompt; and a disk that fails harms one answer.

import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { modelFile } from '../../bench/model-file.ts';
import type { OpenFile } from '../../src/device/device.ts';
import { openFile } from '../../src/device/files.ts';
import type { WebGpuDevice } from '../../src/device/webgpu/device.ts';
import { openNodeGpu } from '../../src/device/webgpu/node.ts';
import { modelOutlook } from '../../src/engine/outlook.ts';
import { packModel } from '../../src/engine/pack.ts';
import { packerFor } from '../../src/engine/packer.ts';
import { loadOnto } from '../../src/engine/place.ts';
import type { LoadOptions, Model } from '../../src/engine/types.ts';
import { modelCheckpoint } from '../../src/models/files/translate.ts';
import { openCheckpoint } from '../../src/weights/open.ts';
import { expertBlock, generate, tinyExperts } from './tiny-experts.ts';

const shape = tinyExperts('tiny-moe-gpu', 2);
const block = expertBlock;

const prompt = Array.from({ length: 40 }, (_, i) => (i * 37 + 11) % shape.vocab);

let harm = false;
const harmed: OpenFile = (path, byteLength) => {
  const file = openFile(path, byteLength);
  return {
    ...file,
    async readInto(offset, target) {
      if (harm) throw new Error('Input/output error');
      await file.readInto(offset, target);
    },
  };
};

/** One device for all models, so that kernels are compiled once: those of experts are compiled for the number of slots. */
const gpu = await openNodeGpu({ software: true, openFile: harmed }).catch((error: Error) => error.message);

const answers = async (model: Model) => ({
  tokens: await generate(model, prompt, 5),
  together: await Promise.all([7, 20].map((n) => generate(model, prompt.slice(n), 3))),
});

describe.skipIf(typeof gpu === 'string')('a model whose experts are streamed to a GPU', () => {
  const device = gpu as WebGpuDevice;
  const dispose = device.dispose.bind(device);
  device.dispose = () => undefined;
  const folder = mkdtempSync(join(tmpdir(), 'ingot-experts-gpu-'));
  let gguf = '';
  let packed = '';
  let resident: Awaited<ReturnType<typeof answers>>;

  const open = (options: LoadOptions, path = gguf): Promise<Model> =>
    loadOnto(
      device,
      () => modelCheckpoint(openCheckpoint(path)),
      'tiny',
      { contextLength: 64, prefixBytes: 0, maxSequences: 2, kvBytes: 2 ** 20, ...options },
      { availableMemory: 2 ** 34, packInto: packerFor(device) },
    );

  beforeAll(async () => {
    gguf = await modelFile(shape, folder);
    packed = join(folder, 'tiny.ingot');
    await packModel(gguf, { output: packed });
    using model = await open({ experts: { residency: 'resident' } });
    resident = await answers(model);
  }, 400_000); // a software GPU compiles the kernels of a whole step here
  afterAll(() => {
    rmSync(folder, { recursive: true });
    dispose();
  });

  it('gives the same with memory for one layer of one token, and fails where a disk does', async () => {
    using model = await open({ experts: { bytes: 4 * block } }, packed);
    expect(await answers(model)).toEqual(resident);
    expect(model.status().experts).toMatchObject({ residency: 'streamed', slots: 4, slotsUsed: 4 });
    harm = true;
    await expect(generate(model, prompt, 5)).rejects.toMatchObject({
      code: 'bad_file',
      message: expect.stringMatching(/layer \d, expert \d+: .*tiny\.ingot: .*: Input\/output error/),
    });
    harm = false;
    expect(await generate(model, prompt, 5)).toEqual(resident.tokens);
  });

  it('gives the same within a limit, of which experts have what the rest leaves', async () => {
    const notices: string[] = [];
    const memoryLimit = 250_000_000;
    using model = await open({
      memoryLimit,
      experts: { residency: 'streamed' },
      onNotice: (text) => notices.push(text),
    });
    expect(notices.join()).toMatch(/memory 250 MB: dense weights .*, experts .* of/);
    const stream = model.generate(prompt, { maxTokens: 5, ignoreEos: true, temperature: 0 });
    const tokens: number[] = [];
    for await (const id of stream) tokens.push(id);
    expect(tokens).toEqual(resident.tokens);
    const { requests = 0, hitRate = 0 } = stream.stats.experts ?? {};
    expect(requests).toBeGreaterThan(0);
    expect(hitRate).toBeGreaterThan(0);
    expect(device.statistics().liveBytes).toBeLessThan(memoryLimit);
  });

  it('is foreseen by the doctor', async () => {
    const outlook = await modelOutlook(gguf, { device: 'webgpu:0', experts: { bytes: 8 * block } });
    expect(outlook).toMatchObject({ problem: undefined, division: { streamed: true, experts: 8 * block } });
    const { expected = 0, ceiling = 0 } = outlook.speed ?? {};
    expect(expected).toBeGreaterThan(0);
    expect(expected).toBeLessThan(ceiling);
    const whole = await modelOutlook(gguf, { device: 'webgpu:0', experts: { bytes: 32 * block } });
    expect(whole.division?.streamed).toBe(false); // a GPU that need not stop does not
  });

  it('says what only the CPU does', async () => {
    const experts = { bytes: 4 * block, preferResident: 0.3 };
    await expect(open({ experts })).rejects.toThrow('experts.preferResident is for the CPU, not for webgpu');
  });
});
