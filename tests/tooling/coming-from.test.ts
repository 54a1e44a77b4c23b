// Every function that the page for users of other libraries names is there.

import { readFileSync } from 'node:fs';
import { expect, it } from 'vitest';
import * as array from '../../src/array/index.ts';
import * as nn from '../../src/nn/index.ts';

it('docs/coming-from.md names what there is', () => {
  const page = readFileSync(new URL('../../docs/coming-from.md', import.meta.url), 'utf8');
  const rows = page.split('\n').filter((line) => line.startsWith('|') && !line.startsWith('|---'));
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
