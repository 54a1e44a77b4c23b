// Adds to a package-lock the platform packages that the registry in use does not carry (mirrors often keep only the
// platforms of their users). npm leaves them out of the lock and then refuses it in `npm ci`. Entries added here carry
// version, os and cpu, but no integrity: they are skipped on other platforms and fetched normally on their own.
// Use: node tools/complete-lock.mjs [folder]

import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import process from 'node:process';
import { pathToFileURL } from 'node:url';

const systems = {
  linux: 'linux',
  mac: 'darwin',
  darwin: 'darwin',
  win: 'win32',
  win32: 'win32',
  android: 'android',
  freebsd: 'freebsd',
};
const cpus = {
  x64: 'x64',
  arm64: 'arm64',
  armv7l: 'arm',
  arm: 'arm',
  ia32: 'ia32',
  riscv64: 'riscv64',
  ppc64: 'ppc64',
  s390x: 's390x',
};

/** `@scope/cli-linux-x64-musl` -> { os: ['linux'], cpu: ['x64'], libc: ['musl'] } */
export function platformOf(name) {
  const words = name.replace(/^@[^/]+\//, '').split('-');
  const os = words.map((w) => systems[w]).find(Boolean);
  const cpu = words.map((w) => cpus[w]).find(Boolean);
  if (!os || !cpu) return undefined;
  const libc = words.includes('musl') ? { libc: ['musl'] } : {};
  return { os: [os], cpu: [cpu], ...libc };
}

/** Returns the names added; `lock` is changed in place. */
export function completeLock(lock) {
  const added = [];
  for (const [path, entry] of Object.entries(lock.packages)) {
    for (const [name, version] of Object.entries(entry.optionalDependencies ?? {})) {
      const platform = platformOf(name);
      const present = lock.packages[`node_modules/${name}`] ?? lock.packages[`${path}/node_modules/${name}`];
      if (present || !platform || !/^\d+\.\d+\.\d+/.test(version)) continue;
      lock.packages[`node_modules/${name}`] = {
        version,
        ...platform,
        ...(entry.dev ? { dev: true } : {}),
        optional: true,
      };
      added.push(name);
    }
  }
  lock.packages = Object.fromEntries(Object.entries(lock.packages).sort(([a], [b]) => (a < b ? -1 : 1)));
  return added;
}

if (process.argv[1] && import.meta.url === pathToFileURL(process.argv[1]).href) {
  const file = join(process.argv[2] ?? '.', 'package-lock.json');
  const lock = JSON.parse(readFileSync(file, 'utf8'));
  const added = completeLock(lock);
  if (added.length > 0) writeFileSync(file, `${JSON.stringify(lock, null, 2)}\n`);
  console.log(`${file}: ${added.length === 0 ? 'complete' : `added ${added.join(', ')}`}`);
}
