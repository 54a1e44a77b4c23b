// Every function that the page for users of other libraries names is there.

import { readFileSync } from 'node:fs';
import { expect, it } from 'vitest';
import * as array from '../../src/array/index.ts';
import * as nn from '../../src/nn/index.ts';

const page = readFileSync(new URL('../../docs/coming-from.md', import.meta.url), 'utf8');

it('docs/coming-from.md names what there is', () => {
  const rows = (page.split('## What is not there')[0] ?? '')
    .split('\n')
    .filter((line) => line.startsWith('|') && !line.startsWith('|---'));
  const ours = rows.slice(1).map((row) => row.split('|').at(-2) ?? '');
  const known: object = { ...array, ...array.random, ...nn, ...nn.optim };
  const methods = array.Array.prototype as unknown as Record<string, unknown>;
  const missing: string[] = [];
  for (const cell of ours) {
    for (const [, code = ''] of cell.matchAll(/`([^`]+)`/g)) {
      for (const [, dot, name = ''] of code.matchAll(/(\.?)\b([A-Za-z]\w*)(?=\()/g)) {
        if (!(name in known || (dot === '.' && name in methods) || name === 'f')) missing.push(name);
      }
    }
  }
  expect(ours.length).toBeGreaterThan(15);
  expect(missing).toEqual([]);
});

it('every function of MLX is there, or docs/coming-from.md says why not', () => {
  const path = new URL('../goldens/mlx-names.json', import.meta.url);
  const { version, ...modules } = JSON.parse(readFileSync(path, 'utf8')) as Record<string, readonly string[]>;
  expect(version).toBeDefined();
  const ours: Readonly<Record<string, object>> = {
    core: array,
    fast: array.fast,
    linalg: array.linalg,
    fft: array.fft,
    random: array.random,
    nn: { ...array, ...nn },
    losses: nn.losses,
    init: nn.init,
    optimizers: nn.optim,
  };
  // RMSNorm and SGD stay, AdaDelta is adadelta; fast functions that are written for Python's kernels have a line in the page
  const lower = (name: string): string => name.replaceAll('_', '').toLowerCase();
  const missing = Object.entries(modules).flatMap(([module, names]) => {
    const known = new Set(Object.keys(ours[module] ?? {}).map(lower));
    return names
      .filter((name) => !known.has(lower(name)) && !page.includes(`\`${name}\``))
      .map((name) => `${module}.${name}`);
  });
  expect(missing).toEqual([]);
});
