// The headers that a checkout makes of TypeScript, and those of Node-API, beside the native sources: a tarball has them, so that
// `make -C node_modules/ingot/native` needs nothing else. `npm pack` makes them and takes them away again.
// Use: node tools/native-headers.mjs [--remove]

import { spawnSync } from 'node:child_process';
import { cpSync, mkdirSync, readdirSync, rmSync } from 'node:fs';
import { dirname, join } from 'node:path';
import process from 'node:process';
import { fileURLToPath, pathToFileURL } from 'node:url';

const root = dirname(dirname(fileURLToPath(import.meta.url)));

/** Writes them into a folder of native sources. */
export function writeNativeHeaders(native) {
  const generated = join(native, 'generated');
  mkdirSync(join(generated, 'signatures'), { recursive: true });
  const tool = (name, ...args) => {
    const { status, stderr } = spawnSync(process.execPath, [join(root, 'tools', name), ...args], {
      encoding: 'utf8',
    });
    if (status !== 0) throw new Error(`${name}: ${stderr}`);
  };
  tool('gen-tile-opcodes.mjs', join(generated, 'tile_opcodes.h'));
  tool('gen-layouts.mjs', join(generated, 'layouts.h'));
  tool('gen-signatures.mjs', 'headers', join(generated, 'signatures'));
  const headers = join(
    dirname(fileURLToPath(import.meta.resolve('node-api-headers/package.json'))),
    'include',
  );
  mkdirSync(join(native, 'node-api'), { recursive: true });
  for (const name of readdirSync(headers)) cpSync(join(headers, name), join(native, 'node-api', name));
  cpSync(join(dirname(headers), 'LICENSE'), join(native, 'node-api/LICENSE'));
}

if (process.argv[1] && import.meta.url === pathToFileURL(process.argv[1]).href) {
  const native = join(root, 'native');
  for (const name of ['generated', 'node-api']) rmSync(join(native, name), { recursive: true, force: true });
  if (process.argv[2] !== '--remove') writeNativeHeaders(native);
}
