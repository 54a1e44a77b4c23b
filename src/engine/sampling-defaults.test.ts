// How a model's makers sample from it, and that it is how the library does.

import { cpSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, describe, expect, it } from 'vitest';
import { load } from './load.ts';
import { samplingDefaults } from './sampling-defaults.ts';

const checkpoint = (file: unknown, metadata: Readonly<Record<string, unknown>> = {}) => ({
  readFile: async () =>
    file === undefined
      ? undefined
      : new TextEncoder().encode(typeof file === 'string' ? file : JSON.stringify(file)),
  metadata: { get: (key: string) => metadata[key] } as never,
});

describe('what a checkpoint advises', () => {
  it.each([
    [
      {
        temperature: 0.6,
        top_k: 20,
        top_p: 0.95,
        min_p: 0,
        repetition_penalty: 1.1,
        do_sample: true,
        eos_token_id: 3,
      },
      { temperature: 0.6, topK: 20, topP: 0.95, minP: 0, repetitionPenalty: 1.1 },
    ],
    [{ do_sample: false, temperature: 0.7 }, { temperature: 0 }],
    [{ eos_token_id: 3 }, {}],
    [undefined, {}],
    ['{ broken', {}],
    ['[1]', {}],
  ])('%j', async (file, expected) => {
    expect(await samplingDefaults(checkpoint(file))).toEqual(expected);
  });

  it('is in keys of a GGUF file, where there is no file beside it', async () => {
    const keys = {
      'general.sampling.temp': 0.5,
      'general.sampling.top_k': 64,
      'general.sampling.penalty_repeat': 1.05,
    };
    expect(await samplingDefaults(checkpoint(undefined, keys))).toEqual({
      temperature: 0.5,
      topK: 64,
      repetitionPenalty: 1.05,
    });
  });

  it('is left out with a notice where it is out of range', async () => {
    const notices: string[] = [];
    const found = await samplingDefaults(checkpoint({ temperature: -1, top_k: 'all', top_p: 0.9 }), (text) =>
      notices.push(text),
    );
    expect(found).toEqual({ topP: 0.9 });
    expect(notices).toEqual([
      expect.stringMatching(/default of temperature is left out: .*got -1/),
      expect.stringMatching(/default of top_k is left out: it is no number/),
    ]);
  });
});

describe('a loaded model', () => {
  const folder = mkdtempSync(join(tmpdir(), 'ingot-sampling-'));
  cpSync(fileURLToPath(new URL('../../tests/goldens/models/llama3-gqa', import.meta.url)), folder, {
    recursive: true,
  });
  afterAll(() => rmSync(folder, { recursive: true }));
  const write = (config: object) =>
    writeFileSync(join(folder, 'generation_config.json'), JSON.stringify(config));
  const options = { device: 'js', precision: 'exact', contextLength: 64 } as const;
  const tokensOf = async (settings: object): Promise<number[]> => {
    await using model = await load(folder, options);
    const tokens: number[] = [];
    for await (const id of model.generate([1, 2, 3], {
      maxTokens: 12,
      ignoreEos: true,
      seed: 5,
      ...settings,
    }))
      tokens.push(id);
    return tokens;
  };

  it('samples as it was made to, and greedily only when that is asked for', async () => {
    write({ top_k: 1 });
    const advised = await tokensOf({});
    const greedy = await tokensOf({ temperature: 0 });
    expect(advised).toEqual(greedy);
    write({ temperature: 5, top_k: 0 });
    expect(await tokensOf({})).not.toEqual(greedy);
    expect(await tokensOf({ temperature: undefined })).toEqual(await tokensOf({ temperature: 5, topK: 0 }));
    expect(await tokensOf({ temperature: 0 })).toEqual(greedy);
    write({});
    const common = { temperature: 0.8, topK: 40, topP: 0.95 };
    expect(await tokensOf({})).toEqual(await tokensOf(common));
    await using model = await load(folder, options);
    expect(model.info).toMatchObject({ sampling: {}, trainedContextLength: 256 });
  });
});
