// Kinds of caches, as a loaded model has them: the same answers from each, and what a kind cannot do is said at load.

import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import { type CacheKindName, cacheKindNames, cacheKinds } from '../../src/cache/kinds.ts';
import { addonPath } from '../../src/device/cpu/addon.ts';
import { load } from '../../src/engine/load.ts';
import type { LoadOptions, Model } from '../../src/engine/types.ts';

const device = addonPath() ? 'cpu' : 'js';
const folderOf = (name: string): string =>
  fileURLToPath(new URL(`../goldens/models/${name}`, import.meta.url));
const open = (name: string, options: LoadOptions = {}): Promise<Model> =>
  load(folderOf(name), { device, precision: 'exact', contextLength: 96, ...options });

const prompt = Array.from({ length: 40 }, (_, i) => (7 * i) % 60);
async function answer(model: Model): Promise<number[]> {
  const tokens: number[] = [];
  for await (const token of model.generate(prompt, { maxTokens: 12, temperature: 0, ignoreEos: true }))
    tokens.push(token);
  return tokens;
}

describe.each(['llama3-gqa', 'qwen3-window-yarn'])('kinds of caches under %s', (name) => {
  it.each(cacheKindNames)('%s answers as the default, alone and when several ask', async (kv) => {
    const plain = await open(name);
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

const singles = cacheKindNames.filter((kv) => cacheKinds[kv].single);

describe('what a kind refuses', () => {
  it.each(singles)('%s: more than one conversation at a time, and a folder of prefixes', async (kv) => {
    await expect(open('llama3-gqa', { kv, maxSequences: 2 })).rejects.toMatchObject({
      code: 'invalid_argument',
      message: expect.stringMatching(/holds one conversation at a time .* maxSequences/),
    });
    await expect(open('llama3-gqa', { kv, prefixDir: '/nowhere' })).rejects.toThrow(
      /does not go with a prefixDir/,
    );
  });

  it('names the kinds that there are', async () => {
    await expect(open('llama3-gqa', { kv: 'ringed' as CacheKindName })).rejects.toThrow(
      /kv must be 'paged' or /,
    );
  });
});
