// Puts together what is published: the built package without what only a checkout needs, with the platform packages as
// optional dependencies of the same version, and the native sources such that they build without the checkout.
// Use: node tools/publish-folder.mjs [--out packages]     after `npm run build`; then `npm publish` each folder of it

import { spawnSync } from 'node:child_process';
import { cpSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import process from 'node:process';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { parseArgs } from 'node:util';
import { writeNativeHeaders } from './native-headers.mjs';
import { packageName, platforms } from './platform-packages.mjs';

const root = dirname(dirname(fileURLToPath(import.meta.url)));

/** The manifest of the published package. */
export function publishedManifest(manifest) {
  const { scripts: _scripts, devDependencies: _dev, files: _files, ...rest } = manifest;
  return {
    ...rest,
    optionalDependencies: Object.fromEntries(
      Object.keys(platforms).map((platform) => [packageName(platform), manifest.version]),
    ),
  };
}

/** Files of the package, as npm reads the manifest's list; the addon of this machine is a package of its own. */
function packedFiles() {
  const { status, stdout, stderr } = spawnSync('npm', ['pack', '--dry-run', '--json', '--ignore-scripts'], {
    cwd: root,
    encoding: 'utf8',
    maxBuffer: 1 << 26,
    shell: process.platform === 'win32',
  });
  if (status !== 0) throw new Error(`npm pack: ${stderr}`);
  const files = JSON.parse(stdout)[0].files.map(({ path }) => path);
  return files.filter((path) => !/^native\/(build|generated|node-api)\//.test(path));
}

/** Writes the folder; its path. */
export function writePublishFolder(out) {
  const folder = join(out, 'ingot');
  rmSync(folder, { recursive: true, force: true });
  for (const path of packedFiles()) cpSync(join(root, path), join(folder, path));
  const manifest = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'));
  writeFileSync(join(folder, 'package.json'), `${JSON.stringify(publishedManifest(manifest), null, 2)}\n`);
  writeNativeHeaders(join(folder, 'native'));
  return folder;
}

if (process.argv[1] && import.meta.url === pathToFileURL(process.argv[1]).href) {
  const { values } = parseArgs({ options: { out: { type: 'string', default: 'packages' } } });
  console.log(writePublishFolder(resolve(values.out)));
}
