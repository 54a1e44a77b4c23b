// Adding something is one file and one line in a list: every such file is in its list, and in no other central place.

import { readdirSync, readFileSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { pathToFileURL } from 'node:url';
import ts from 'typescript';
import { describe, expect, it } from 'vitest';
import type { OpDef } from '../../src/array/op.ts';
import { ops } from '../../src/array/ops/list.ts';

const sources = (folder: string): string[] =>
  readdirSync(folder, { recursive: true, encoding: 'utf8' })
    .filter((name) => name.endsWith('.ts') && !name.endsWith('.test.ts') && basename(name) !== 'index.ts')
    .map((name) => join(folder, name));

/** The files that a source file imports, as paths like its own. */
const imports = (path: string): string[] =>
  ts
    .preProcessFile(readFileSync(path, 'utf8'))
    .importedFiles.filter(({ fileName }) => fileName.startsWith('.'))
    .map(({ fileName }) => join(dirname(path), fileName));

const isOp = (value: unknown): value is OpDef =>
  typeof value === 'object' && value !== null && 'name' in value && 'infer' in value && 'cases' in value;

describe('every file of a kind is in its list', () => {
  it('array ops', async () => {
    const modules = await Promise.all(
      sources('src/array/ops').map((path) => import(pathToFileURL(path).href) as Promise<object>),
    );
    const exported = modules.flatMap((module) => Object.values(module)).filter(isOp);
    expect(exported.length).toBeGreaterThan(70);
    expect(exported.filter((op) => !ops.includes(op)).map((op) => op.name)).toEqual([]);
  });

  it.each([
    ['src/quant/formats', 'src/quant/registry.ts', ['block.ts']],
    ['src/cli/commands', 'src/cli/program.ts', []],
    ['src/chat/formats', 'src/chat/formats/index.ts', []],
  ] as const)('%s', (folder, list, shared) => {
    const files = sources(folder).filter(
      (path) => dirname(path) === folder && !shared.some((name) => name === basename(path)),
    );
    expect(files.length).toBeGreaterThan(3);
    const listed = imports(list);
    expect(files.filter((path) => !listed.includes(path))).toEqual([]);
  });

  it('model families, which nothing but the registry and tests name', () => {
    const families = readdirSync('src/models', { withFileTypes: true })
      .filter((entry) => entry.isDirectory() && readdirSync(`src/models/${entry.name}`).includes('model.ts'))
      .map((entry) => join('src/models', entry.name));
    expect(families).toContain(join('src/models/llama'));
    const all = sources('src').map((path) => ({ path, folders: imports(path).map((name) => dirname(name)) }));
    for (const family of families) {
      const importers = all.filter(
        ({ path, folders }) => dirname(path) !== family && folders.includes(family),
      );
      expect(importers.map(({ path }) => path)).toEqual([join('src/models/registry.ts')]);
    }
  });
});

it('lines of C++ have at most 110 columns, as CONTRIBUTING says', () => {
  const files = readdirSync('native', { recursive: true, encoding: 'utf8' }).filter(
    (name) => /\.(cc|h)$/.test(name) && !/^(build|generated|node_modules)\b/.test(name),
  );
  expect(files.length).toBeGreaterThan(80);
  const long = files.flatMap((name) =>
    readFileSync(join('native', name), 'utf8')
      .split('\n')
      .flatMap((line, i) => (line.length > 110 ? [`native/${name}:${i + 1}`] : [])),
  );
  expect(long).toEqual([]);
});
