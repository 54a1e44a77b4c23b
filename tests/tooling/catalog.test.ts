// tools/gen-catalog.mjs: the page of kernels is what the code says, and every kernel says everything.

import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import * as catalog from '../../src/toolkit/catalog/index.ts';

interface Tool {
  readonly pagePath: string;
  readonly tags: readonly string[];
  modules(): readonly {
    readonly name: string;
    readonly kernels: readonly Readonly<Record<string, string>>[];
  }[];
  page(): string;
}
const url = new URL('../../tools/gen-catalog.mjs', import.meta.url).href;
const tool = (await import(url)) as Tool;

describe('the page of the catalog', () => {
  it('is current; `node tools/gen-catalog.mjs` makes it so', () => {
    expect(readFileSync(tool.pagePath, 'utf8')).toBe(tool.page());
  });

  it('has every kernel, with formula, shapes, gradient and source', () => {
    const exported = Object.entries(catalog).map(([name, kernels]) => [name, Object.keys(kernels).sort()]);
    expect(tool.modules().map((m) => [m.name, m.kernels.map((k) => k.name).sort()])).toEqual(exported);
    for (const { name, kernels } of tool.modules()) {
      for (const k of kernels)
        for (const tag of tool.tags) expect(k[tag] ?? '', `${name}.${k.name} @${tag}`).not.toBe('');
    }
  });
});
