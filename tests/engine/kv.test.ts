// Kinds of caches, as a loaded model has them: the same answers from each, and what a kind cannot do is said at load.

import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import type { IngotError } from '../../src/base/errors.ts';
import {
  type CacheKindName,
  cacheDtype,
  cacheKindNames,
  cacheKinds,
  type KvBits,
} from '../../src/cache/kinds.ts';
import { isCodes } from '../../src/cache/parts.ts';
import { addonPath } from '../../src/device/cpu/addon.ts';
import { load } from '../../src/engine/load.ts';
import type { LoadOptions, Model } from '../../src/engine/types.ts';
import { kvRowSizes } from '../../src/quant/kv-rows.ts';

const device = addonPath() ? 'cpu' : 'js';
const folderOf = (name: string): string =>
  fileURLToPath(new URL(`../goldens/models/${name}`, import.meta.url));
const open = (name: string, options: LoadOptions = {}): Promise<Model> =>
  load(folderOf(name), { device, precision: 'exact', contextLength: 96, ...options });

/** A tiered cache is for the native device. */
const kindsHere = cacheKindNames.filter((kv) => device === 'cpu' || !cacheKinds[kv].tiered);

const prompt = Array.from({ length: 40 }, (_, i) => (7 * i) % 60);
async function answer(model: Model): Promise<number[]> {
  const tokens: number[] = [];
  for await (const token of model.generate(prompt, { maxTokens: 12, temperature: 0, ignoreEos: true }))
    tokens.push(token);
  return tokens;
}

/** Kinds that keep floats answer alike, and so do those that keep codes. */
const stored = (kv: CacheKindName) => cacheDtype(cacheKinds[kv], { precision: 'exact' });

describe.each(['llama3-gqa', 'qwen3-window-yarn', 'qwen3-moe'])('kinds of caches under %s', (name) => {
  const kinds = kindsHere.filter((kv) => !isCodes(stored(kv)) || name === 'qwen3-moe');
  it.each(kinds)('%s answers alone as when several ask, and as others that store the same', async (kv) => {
    const plain = await open(name, isCodes(stored(kv)) ? { kvBits: 8 } : {});
    const expected = await answer(plain);
    plain.dispose();
    await using model = await open(name, { kv });
    expect(await Promise.all([answer(model), answer(model), model.logits(prompt).then(() => [])])).toEqual([
      expected,
      expected,
      [],
    ]);
    expect(model.status().kvBytesUsed).toBe(0);
  });
});

describe('keys and values as codes', () => {
  const name = 'qwen3-moe';
  const logits = async (options: LoadOptions): Promise<Float32Array> => {
    await using model = await open(name, options);
    return (await model.logits(prompt)).data;
  };

  it('are as near to floats as their bits allow, and take what is promised', async () => {
    const plain = await logits({});
    const power = plain.reduce((sum, x) => sum + x * x, 0);
    const lost = async (kvBits: KvBits): Promise<number> => {
      const got = await logits({ kvBits });
      return Math.sqrt(plain.reduce((sum, x, i) => sum + (x - (got[i] as number)) ** 2, 0) / power);
    };
    const found = [];
    for (const kvBits of [8, 'turbo4', 'turbo3', 'turbo2'] as const) found.push(await lost(kvBits));
    expect(found).toEqual(found.toSorted((a, b) => a - b));
    expect(found[0]).toBeLessThan(0.01);
    expect(await lost(4)).toBeLessThan(0.2);
    expect(found.at(-1)).toBeLessThan(0.5);
    await using model = await open(name, { kvBits: 4 });
    const { layers } = model.info;
    const [heads, row] = [2, kvRowSizes('q4', 16).bytes];
    expect(model.info.memory?.kvToken).toBe(layers * 2 * heads * row);
  });

  it('go on from a known beginning, in pieces and whole, with the same bits', async () => {
    await using model = await open(name, { kvBits: 4 });
    const whole = await answer(model);
    expect(await answer(model)).toEqual(whole);
    for await (const _ of model.generate(prompt.slice(0, 33), { maxTokens: 1, temperature: 0 }));
    expect(await answer(model)).toEqual(whole);
  });
});

describe.skipIf(device === 'js')('a tiered cache with the least memory', () => {
  /** What a tiered cache must have for a context, by what it refuses. */
  const least = (name: string, options: LoadOptions): Promise<number> =>
    open(name, { ...options, kv: 'tiered', kvBytes: 0 }).then(
      () => 0,
      ({ details }: IngotError) => details.needBytes as number,
    );

  it.each([
    ['llama3-gqa', 'exact', undefined],
    ['llama3-gqa', 'fast', undefined],
    ['qwen3-moe', 'fast', 8],
    ['qwen3-moe', 'exact', 'turbo3'],
    ['qwen3-window-yarn', 'exact', undefined],
    ['llama-odd-heads', 'exact', undefined],
  ] as const)(
    '%s, %s, kvBits %s: logits and tokens are those of the paged one, bit for bit',
    async (name, precision, kvBits) => {
      const options = { precision, kvBits, maxSequences: 3, contextLength: 96 };
      const kvBytes = await least(name, options);
      await using paged = await open(name, options);
      await using tiered = await open(name, { ...options, kv: 'tiered', kvBytes });
      const long = Array.from({ length: 90 }, (_, i) => (11 * i) % 60);
      const [expected, got] = await Promise.all([paged.logits(long), tiered.logits(long)]);
      expect(got.data).toEqual(expected.data);
      expect(await answer(tiered)).toEqual(await answer(paged));
      expect(tiered.info.kv).toBe('tiered');
      expect(tiered.status().kvTier?.bytes).toBeLessThanOrEqual(kvBytes);
    },
  );

  it('a folder for pages is refused where none leave memory', async () => {
    await expect(open('llama3-gqa', { kvDir: tmpdir() })).rejects.toThrow(
      /kvDir is only read with kv 'tiered'/,
    );
  });

  it('less than one layer of a context is refused with the numbers', async () => {
    const kvBytes = (await least('llama3-gqa', {})) - 1;
    await expect(open('llama3-gqa', { kv: 'tiered', kvBytes })).rejects.toMatchObject({
      code: 'out_of_memory',
      message: expect.stringMatching(
        /one context of 96 tokens .* kB of memory for one layer of its KV cache but/,
      ),
    });
  });
});

it('a tiered cache is refused by name on a device that has none', async () => {
  await expect(open('llama3-gqa', { kv: 'tiered', device: 'js' })).rejects.toMatchObject({
    code: 'unsupported',
    message: expect.stringMatching(/kv 'tiered' .* the device 'js' cannot/),
  });
});

it('prefixes on disk are those of the same bits', async () => {
  const prefixDir = mkdtempSync(join(tmpdir(), 'ingot-kv-'));
  const long = Array.from({ length: 80 }, (_, i) => (5 * i) % 60);
  const cached = async (kvBits: KvBits): Promise<number> => {
    await using model = await open('qwen3-moe', { kvBits, prefixDir });
    const stream = model.generate(long, { maxTokens: 1, temperature: 0, ignoreEos: true });
    for await (const _ of stream);
    return stream.stats.cachedTokens;
  };
  try {
    expect(await cached(8)).toBe(0);
    expect(await cached(8)).toBeGreaterThan(0);
    expect(await cached(4)).toBe(0);
    expect(await cached(4)).toBeGreaterThan(0);
  } finally {
    rmSync(prefixDir, { recursive: true });
  }
});

describe('a window that rotates', () => {
  const long = Array.from({ length: 300 }, (_, i) => (11 * i + (i >> 4)) % 60);

  it.each([
    ['llama3-gqa', 'exact', undefined],
    ['llama3-gqa', 'fast', undefined],
    ['qwen3-window-yarn', 'exact', undefined],
    ['qwen3-moe', 'fast', 8],
  ] as const)(
    '%s, %s, kvBits %s: logits inside are those without it, bit for bit',
    async (name, precision, kvBits) => {
      await using paged = await open(name, { precision, kvBits });
      await using rotating = await open(name, { precision, kvBits, kv: 'rotating' });
      const inside = long.slice(0, 96);
      expect((await rotating.logits(inside)).data).toEqual((await paged.logits(inside)).data);
      expect(await answer(rotating)).toEqual(await answer(paged));
    },
  );

  it.each(['llama3-gqa', 'qwen3-window-yarn'])(
    '%s goes on beyond its context, as a longer prompt does',
    async (name) => {
      await using model = await open(name, { kv: 'rotating', maxSequences: 2 });
      const generate = async (from: readonly number[], maxTokens?: number): Promise<number[]> => {
        const found: number[] = [];
        for await (const token of model.generate(from, { maxTokens, temperature: 0, ignoreEos: true })) {
          found.push(token);
          if (found.length === 1) continue;
          const { kvBytes, kvBytesUsed } = model.status();
          expect(kvBytesUsed).toBeLessThanOrEqual(kvBytes);
        }
        return found;
      };
      const answered = await generate(prompt, 400);
      expect(answered.length).toBe(400);
      expect(model.status().kvBytesUsed).toBe(0);
      const whole = [...prompt, ...answered];
      const again = generate(whole.slice(0, 150), 60);
      expect(await Promise.all([again, generate(whole.slice(0, 351), 40)])).toEqual([
        answered.slice(110, 170),
        answered.slice(311, 351),
      ]);
      // Without maxTokens an answer ends all the same.
      expect((await generate(long)).length).toBe(96);
      const { data, shape } = await model.logits(whole);
      const best = (row: number): number => {
        const [, width = 0] = shape;
        const logits = [...data.slice(row * width, (row + 1) * width)];
        return logits.indexOf(Math.max(...logits));
      };
      expect(answered.map((_, i) => best(prompt.length - 1 + i))).toEqual(answered);
    },
  );

  it('does not go with a folder of prefixes, and keeps less than its window', async () => {
    await expect(open('llama3-gqa', { kv: 'rotating', prefixDir: '/nowhere' })).rejects.toMatchObject({
      code: 'invalid_argument',
      message: expect.stringMatching(/kv 'rotating' .* does not go with a prefixDir/),
    });
    await expect(open('llama3-gqa', { kv: 'rotating', kvKeep: 65 })).rejects.toMatchObject({
      code: 'invalid_argument',
      message: expect.stringMatching(/kvKeep of 65 takes 3 pages .* has 3/),
    });
    await expect(open('llama3-gqa', { kvKeep: 4 })).rejects.toThrow(/kvKeep is for kv 'rotating'/);
    await expect(open('llama3-gqa', { kv: 'rotating', kvKeep: -1 })).rejects.toThrow(/kvKeep must be/);
  });
});

const singles = cacheKindNames.filter((kv) => cacheKinds[kv].single);

describe('what a kind refuses', () => {
  it.each(singles)('%s: more than one conversation at a time, and a folder of prefixes', async (kv) => {
    await expect(open('qwen3-moe', { kv, maxSequences: 2 })).rejects.toMatchObject({
      code: 'invalid_argument',
      message: expect.stringMatching(/holds one conversation at a time .* maxSequences/),
    });
    await expect(open('qwen3-moe', { kv, prefixDir: '/nowhere' })).rejects.toThrow(
      /does not go with a prefixDir/,
    );
  });

  it('heads that codes do not fit, and bits that there are not', async () => {
    await expect(open('llama3-gqa', { kvBits: 8 })).rejects.toMatchObject({
      code: 'invalid_argument',
      message: expect.stringMatching(
        /KV rows as q8: a head of 8 columns is not a whole number of groups of 16/,
      ),
    });
    await expect(open('qwen3-moe', { kvBits: 5 as KvBits })).rejects.toMatchObject({
      code: 'invalid_argument',
      message: 'kvBits must be 16, 8, 4, turbo4, turbo3 or turbo2, got 5',
    });
  });

  it('names the kinds that there are', async () => {
    await expect(open('llama3-gqa', { kv: 'ringed' as CacheKindName })).rejects.toThrow(
      /kv must be 'paged' or /,
    );
  });
});
