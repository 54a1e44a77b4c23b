// src/array/checked/ is what tools/gen-checked.mjs makes of the declarations; `node tools/gen-checked.mjs` makes it so.

import { readdirSync, readFileSync } from 'node:fs';
import { expect, it } from 'vitest';

interface Tool {
  readonly folder: string;
  files(): readonly (readonly [name: string, text: string])[];
}
const { folder, files } = (await import(
  new URL('../../tools/gen-checked.mjs', import.meta.url).href
)) as Tool;

it('the checked functions of arrays are current', () => {
  const made = files();
  expect(readdirSync(folder).sort()).toEqual(made.map(([name]) => name).sort());
  for (const [name, text] of made)
    expect(readFileSync(`${folder}/${name}`, 'utf8') === text, name).toBe(true);
});
