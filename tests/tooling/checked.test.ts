// src/array/checked/ and src/nn/checked/ are what tools/gen-checked.mjs makes of the declarations; `node tools/gen-checked.mjs`
// makes them so.

import { readdirSync, readFileSync } from 'node:fs';
import { expect, it } from 'vitest';

interface Tool {
  readonly libraries: readonly string[];
  folderOf(library: string): string;
  files(library: string): readonly (readonly [name: string, text: string])[];
}
const tool = (await import(new URL('../../tools/gen-checked.mjs', import.meta.url).href)) as Tool;

it.each(tool.libraries)('the checked functions of %s are current', (library) => {
  const folder = tool.folderOf(library);
  const made = tool.files(library);
  expect(readdirSync(folder).sort()).toEqual(made.map(([name]) => name).sort());
  for (const [name, text] of made)
    expect(readFileSync(`${folder}/${name}`, 'utf8') === text, name).toBe(true);
});
