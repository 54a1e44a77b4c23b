// Conversations that go on in another process: the folder of prefixes, on a real model and under damage.

import {
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { addonPath } from '../../src/device/cpu/addon.ts';
import { load } from '../../src/engine/load.ts';
import type { LoadOptions } from '../../src/engine/types.ts';

const device = addonPath() ? 'cpu' : 'js';
const models = fileURLToPath(new URL('../goldens/', import.meta.url));

let dir: string;
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'ingot-prefixes-'));
});
afterEach(() => rmSync(dir, { recursive: true, force: true }));

const prompt = (n: number, seed = 7): number[] =>
  Array.from({ length: n }, (_, i) => (seed * i + (i % 11)) % 80);
const files = (): string[] =>
  readdirSync(dir, { recursive: true, encoding: 'utf8' }).filter((name) =>
    statSync(join(dir, name)).isFile(),
  );

interface Answer {
  readonly tokens: number[];
  readonly cached: number;
  readonly notices: string[];
}

/** What a process of its own answers. */
async function answer(name: string, tokens: readonly number[], options: LoadOptions = {}): Promise<Answer> {
  const notices: string[] = [];
  await using model = await load(`${models}${name}`, {
    device,
    precision: 'exact',
    contextLength: 256,
    prefixDir: dir,
    onNotice: (text) => notices.push(text),
    ...options,
  });
  const stream = model.generate(tokens, { maxTokens: 8, temperature: 0, ignoreEos: true });
  const got: number[] = [];
  for await (const token of stream) got.push(token);
  return { tokens: got, cached: stream.stats.cachedTokens, notices };
}

// Layers that see everything, some within a window, some with a state.
describe.each([
  ['models/llama3-gqa', 128],
  ['families/gemma3', 128],
  ['families/lfm2', 128],
])('prefixes of %s in a folder', (name, cached) => {
  it('are used by a later process, which gives the same tokens', async () => {
    const first = await answer(name, prompt(140));
    expect(first.cached).toBe(0);
    expect(files()).toHaveLength(1);
    const longer = [...prompt(140), ...first.tokens, ...prompt(80, 3)];
    const plain = await answer(name, longer, { prefixDir: undefined });
    const second = await answer(name, longer);
    expect(second.cached).toBe(cached);
    expect(second.tokens).toEqual(plain.tokens);
    expect(second.notices).toEqual([]);
    // Only what was new is written, and both files serve the third turn.
    expect(files()).toHaveLength(2);
    const third = await answer(name, [...longer, ...second.tokens, 5]);
    expect(third.cached).toBe(224);
    expect(files()).toHaveLength(2);
  });
});

describe('a folder of prefixes', () => {
  const name = 'models/llama3-gqa';
  const other = [...prompt(100), ...prompt(60, 5)];

  it('serves a prompt that goes another way in the middle of a file', async () => {
    await answer(name, prompt(140));
    const plain = await answer(name, other, { prefixDir: undefined });
    const branched = await answer(name, other);
    expect(branched.cached).toBe(96);
    expect(branched.tokens).toEqual(plain.tokens);
  });

  it('knows models, precisions and files apart', async () => {
    await answer(name, prompt(140));
    expect((await answer('models/llama-bias', prompt(140))).cached).toBe(0);
    expect((await answer(name, prompt(140), { precision: 'fast' })).cached).toBe(0);
    expect(readdirSync(dir)).toHaveLength(3);
  });

  it.each([
    ['cut', (path: string) => truncateSync(path, statSync(path).size - 1)],
    ['empty', (path: string) => truncateSync(path, 0)],
    [
      'other bytes in its header',
      (path: string) => {
        const bytes = readFileSync(path);
        bytes[40] = (bytes[40] ?? 0) ^ 1;
        writeFileSync(path, bytes);
      },
    ],
    [
      'other bytes at its end',
      (path: string) => {
        const bytes = readFileSync(path);
        bytes[bytes.length - 9] = (bytes.at(-9) ?? 0) ^ 1;
        writeFileSync(path, bytes);
      },
    ],
  ])('uses no file that is damaged: %s', async (_, damage) => {
    const first = await answer(name, prompt(140));
    const [file = ''] = files();
    damage(join(dir, file));
    const second = await answer(name, prompt(140));
    expect(second.cached).toBe(0);
    expect(second.tokens).toEqual(first.tokens);
    expect(second.notices.join()).toContain('a stored prefix is not used');
    expect((await answer(name, prompt(140))).cached).toBe(128); // written anew
  });

  it('leaves alone what a killed process was writing, and what it does not know', async () => {
    await answer(name, prompt(140));
    const [file = ''] = files();
    writeFileSync(join(dir, `${file}.123-abcd.partial`), 'half');
    writeFileSync(join(dir, 'notes.txt'), 'mine');
    expect((await answer(name, prompt(140))).cached).toBe(128);
    expect(readFileSync(join(dir, 'notes.txt'), 'utf8')).toBe('mine');
  });

  it('stays within its bytes: what was used longest ago goes', async () => {
    await answer(name, prompt(140));
    const bytes = statSync(join(dir, files()[0] ?? '')).size;
    await answer(name, prompt(140, 3), { prefixDirBytes: 2.5 * bytes });
    await answer(name, prompt(140)); // used again
    await answer(name, prompt(140, 5), { prefixDirBytes: 2.5 * bytes });
    expect(files()).toHaveLength(2);
    expect((await answer(name, prompt(140), { prefixDirBytes: 2.5 * bytes })).cached).toBe(128);
    expect((await answer(name, prompt(140, 3), { prefixDirBytes: 2.5 * bytes })).cached).toBe(0);
    const tiny = await answer(name, prompt(140, 2), { prefixDirBytes: 1000 });
    expect(tiny.notices.join()).toContain('is not kept');
  });

  it('that cannot be written costs nothing but a notice', async () => {
    mkdirSync(join(dir, 'x'));
    writeFileSync(join(dir, 'x', 'file'), '');
    const { tokens, notices } = await answer(name, prompt(140), { prefixDir: join(dir, 'x', 'file') });
    expect(tokens).toHaveLength(8);
    expect(notices.join()).toContain('was not kept');
  });

  it('is asked for by name', async () => {
    await expect(load(`${models}${name}`, { device, prefixDirBytes: 5 })).rejects.toThrow(
      'prefixDirBytes says how much prefixDir may hold',
    );
  });
});
