// Adding something is one file and one line in a list: every such file is in its list, and in no other central place.

import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';

const read = (path: string): string => readFileSync(path, 'utf8');
const sources = (folder: string): string[] =>
  readdirSync(folder).filter(
    (name) => name.endsWith('.ts') && !name.endsWith('.test.ts') && name !== 'index.ts',
  );

/** Files that the whole package has below src, without tests. */
const all = readdirSync('src', { recursive: true, encoding: 'utf8' })
  .filter((name) => name.endsWith('.ts') && !name.endsWith('.test.ts'))
  .map((name) => join('src', name));

describe('every file of a kind is in its list', () => {
  it('array ops', () => {
    const list = read('src/array/ops/index.ts');
    const ops = sources('src/array/ops').flatMap((name) =>
      [...read(`src/array/ops/${name}`).matchAll(/^export const (\w+Op)\b.*=/gm)].map((m) => [
        name,
        m[1] ?? '',
      ]),
    );
    expect(ops.length).toBeGreaterThan(70);
    const unlisted = ops.filter(([, op]) => !new RegExp(`^  ${op},$`, 'm').test(list));
    expect(unlisted).toEqual([]);
  });

  it.each([
    ['src/quant/formats', 'src/quant/registry.ts', ['block.ts']],
    ['src/cli/commands', 'src/cli/program.ts', []],
    ['src/chat/formats', 'src/chat/formats/index.ts', []],
  ] as const)('%s', (folder, list, shared) => {
    const names = sources(folder).filter((name) => !shared.some((s) => s === name));
    expect(names.length).toBeGreaterThan(3);
    expect(names.filter((name) => !read(list).includes(`/${name}'`))).toEqual([]);
  });

  it('model families, which nothing but the registry and tests name', () => {
    const families = readdirSync('src/models', { withFileTypes: true })
      .filter((entry) => entry.isDirectory() && readdirSync(`src/models/${entry.name}`).includes('model.ts'))
      .map((entry) => entry.name);
    expect(families).toContain('llama');
    for (const family of families) {
      const importers = all.filter(
        (path) =>
          !path.startsWith(`src/models/${family}/`) &&
          new RegExp(`/${family}/[\\w-]+\\.ts'`).test(read(path)),
      );
      expect(importers).toEqual(['src/models/registry.ts']);
    }
  });
});
