// Where the addon is looked for: in the package, and nowhere around it.

import { spawnSync } from 'node:child_process';
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

test.skipIf(addonPath() === undefined || process.platform === 'win32')(
  'takes standard error away and gives it back',
  () => {
    const script = `
    const addon = require(process.argv[1]);
    const say = (text) => require('node:fs').writeSync(2, text);
    say('a');
    const done = [addon.muteStderr(1), addon.muteStderr(1)];
    say('b');
    done.push(addon.muteStderr(0), addon.muteStderr(0));
    say('c');
    process.stdout.write(done.join());
  `;
    const { stdout, stderr } = spawnSync(process.execPath, ['-e', script, addonPath() ?? ''], {
      encoding: 'utf8',
    });
    expect([stderr, stdout]).toEqual(['ac', 'true,false,true,false']);
  },
);
