// The command line as it is built. Test files that run at the same time build it once, one after the other.

import { execFile } from 'node:child_process';
import { mkdirSync } from 'node:fs';
import { promisify } from 'node:util';
import { withLock } from '../../src/hub/lock.ts';

/** Builds `dist/cli/main.js`, unless it is of the present sources already. */
export async function builtCommand(): Promise<void> {
  mkdirSync('node_modules/.cache', { recursive: true });
  await withLock('node_modules/.cache/ingot-build.lock', {}, () =>
    promisify(execFile)(process.execPath, ['tools/build.mjs', '--quiet']),
  );
}
