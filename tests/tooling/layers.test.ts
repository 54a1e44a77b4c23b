// The layer check itself: each rule finds its violation in a small tree and leaves the allowed form alone.

import { spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';

let root: string;
beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), 'ingot-layers-'));
});
afterEach(() => rmSync(root, { recursive: true, force: true }));

const tool = new URL('../../tools/check-layers.mjs', import.meta.url).href;
const { checkLayers } = (await import(tool)) as {
  checkLayers: (root: string) => { files: number; problems: readonly string[] };
};

/** Writes the files and returns what the check finds in them, one line each. */
function check(files: Readonly<Record<string, string>>): string {
  for (const [path, text] of Object.entries(files)) {
    mkdirSync(dirname(join(root, path)), { recursive: true });
    writeFileSync(join(root, path), text);
  }
  const result = checkLayers(root);
  expect(result.files).toBe(Object.keys(files).length);
  return result.problems.join('\n');
}

const empty = 'export {};\n';

describe('check-layers', () => {
  it('accepts imports that go down the list, inside one layer, and from the entry', () => {
    const problems = check({
      'base/a.ts': `export const a = 1;\n`,
      'array/b.ts': `import { a } from '../base/a.ts';\nexport const b = a;\n`,
      'array/c.ts': `import { b } from './b.ts';\nexport const c = b;\n`,
      'testing/t.ts': `import { c } from '../array/c.ts';\nexport const t = c;\n`,
      'index.ts': `export { c } from './array/c.ts';\n`,
    });
    expect(problems).toBe('');
  });

  const violations: readonly [string, Record<string, string>, string][] = [
    [
      'an import up',
      { 'base/a.ts': `import '../array/b.ts';\n`, 'array/b.ts': empty },
      'base/a.ts:1: imports array/b.ts: base/ is below array/',
    ],
    [
      'a type-only import up',
      { 'base/a.ts': `import type { B } from '../array/b.ts';\n`, 'array/b.ts': empty },
      'base/ is below array/',
    ],
    [
      'a lazy import up',
      { 'base/a.ts': `await import('../array/b.ts');\n`, 'array/b.ts': empty },
      'base/ is below array/',
    ],
    [
      'a re-export up',
      { 'base/a.ts': `export * from '../array/b.ts';\n`, 'array/b.ts': empty },
      'base/ is below array/',
    ],
    [
      'an unknown folder',
      { 'extra/a.ts': `import '../base/b.ts';\n`, 'base/b.ts': empty },
      'folder extra/ is not in the list',
    ],
    [
      'test helpers in the product',
      { 'nn/a.ts': `import '../testing/b.ts';\n`, 'testing/b.ts': empty },
      'nn/ must not import testing',
    ],
    [
      'the package entry',
      { 'nn/a.ts': `import '../entry.ts';\n`, 'entry.ts': empty },
      'nn/ must not import the package entry',
    ],
    [
      'a family that imports a family',
      { 'models/x/a.ts': `import '../y/model.ts';\n`, 'models/y/model.ts': empty },
      'models/x must not import the family y',
    ],
    [
      'a model with a concrete cache',
      { 'models/x/a.ts': `import '../../cache/b.ts';\n`, 'cache/b.ts': empty },
      'no concrete cache',
    ],
    [
      'a step loop that knows a family',
      { 'generate/a.ts': `import '../models/x/model.ts';\n`, 'models/x/model.ts': empty },
      'only the registry knows the family x',
    ],
    ['a barrel', { 'nn/a.ts': `import '../array/index.ts';\n`, 'array/index.ts': empty }, 'is a barrel'],
    ['an import without extension', { 'nn/a.ts': `import './b';\n`, 'nn/b.ts': empty }, './b does not exist'],
    ['an import from outside', { 'nn/a.ts': `import '../../tests/b.ts';\n` }, 'is outside src/'],
    ['process.env', { 'nn/a.ts': `export const home = process.env['HOME'];\n` }, 'nn/a.ts:1: process.env'],
    [
      'env taken from process',
      { 'nn/a.ts': `const { env } = process;\nexport { env };\n` },
      'nn/a.ts:1: process.env',
    ],
    [
      'env imported from node:process',
      { 'nn/a.ts': `import { env } from 'node:process';\nexport { env };\n` },
      'process.env',
    ],
    ['console', { 'nn/a.ts': `\nconsole.log(1);\n` }, 'nn/a.ts:2: console: only cli/ prints'],
    ['a GPU type', { 'kernel/a.ts': `export type D = GPUDevice;\n` }, 'GPU types stay inside device/webgpu'],
    [
      'a cycle',
      { 'nn/a.ts': `import './b.ts';\n`, 'nn/b.ts': `import './c.ts';\n`, 'nn/c.ts': `import './a.ts';\n` },
      'circular import: nn/a.ts -> nn/b.ts -> nn/c.ts',
    ],
  ];
  it.each(violations)('reports %s', (_name, files, message) => {
    expect(check(files)).toContain(message);
  });

  it('leaves alone what only looks like a violation', () => {
    const problems = check({
      'base/env.ts': `export const home = process.env['HOME'];\n`,
      'cli/print.ts': `console.log('hello');\n`,
      'device/webgpu/a.ts': `export type D = GPUDevice;\n`,
      'nn/a.ts': `// console.log, process.env and GPUDevice in a comment\nexport const s = 'console process.env GPUDevice';\n`,
      'nn/b.ts': `import type { C } from './c.ts';\nexport interface B { c: C }\n`,
      'nn/c.ts': `import type { B } from './b.ts';\nexport interface C { b: B }\n`,
      'models/x/model.ts': `import '../blocks/b.ts';\nimport './config.ts';\n`,
      'models/x/config.ts': empty,
      'models/registry.ts': `import './x/model.ts';\n`,
      'models/blocks/b.ts': empty,
      'testing/u.ts': `import '../array/ops/index.ts';\n`,
      'array/ops/index.ts': empty,
      'nn/a.test.ts': `import '../testing/t.ts';\nconsole.log(1);\n`,
      'testing/t.ts': empty,
    });
    expect(problems).toBe('');
  });

  it('fails as a command, naming the line', () => {
    mkdirSync(join(root, 'nn'));
    writeFileSync(join(root, 'nn/a.ts'), 'console.log(1);\n');
    const run = spawnSync('node', ['tools/check-layers.mjs', root], { encoding: 'utf8' });
    expect(run.stderr).toContain('nn/a.ts:1: console: only cli/ prints');
    expect(run.stdout).toContain('1 files, 1 violations');
    expect(run.status).toBe(1);
  });

  it('finds none in this package', () => {
    expect(checkLayers('src').problems).toEqual([]);
  });
});
