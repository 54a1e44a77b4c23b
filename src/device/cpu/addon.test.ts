// Where the addon is looked for: in the package, and nowhere around it.

import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { addonPath } from './addon.ts';

test('an addon in a folder around the package is not ours', () => {
  const around = mkdtempSync(join(tmpdir(), 'ingot-addon-'));
  const inside = join(around, 'node_modules', 'ingot');
  const addon = (folder: string): string => {
    mkdirSync(join(folder, 'native', 'build'), { recursive: true });
    writeFileSync(join(folder, 'native', 'build', 'ingot.node'), '');
    return join(folder, 'native', 'build', 'ingot.node');
  };
  try {
    mkdirSync(join(inside, 'dist'), { recursive: true });
    addon(around);
    expect(addonPath(join(inside, 'dist'))).toBeUndefined();
    writeFileSync(join(inside, 'package.json'), '{"name":"ingot"}');
    expect(addonPath(join(inside, 'dist'))).toBeUndefined();
    const own = addon(inside);
    expect(addonPath(join(inside, 'dist'))).toBe(own);
    // Bundled into somebody's application: the package around the file is not Ingot.
    writeFileSync(join(inside, 'package.json'), '{"name":"app"}');
    expect(addonPath(join(inside, 'dist'))).toBeUndefined();
  } finally {
    rmSync(around, { recursive: true });
  }
});
