// The software GPU of the tests: SwiftShader's Vulkan driver and the Vulkan loader, unpacked from the dev dependency
// `@sparticuz/chromium`. Returns the environment that makes Dawn find it; it must be set before Node starts or forks.
// Use: node tools/swiftshader.mjs (prints the variables)

import { existsSync, mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import process from 'node:process';
import { fileURLToPath } from 'node:url';
import { brotliDecompressSync } from 'node:zlib';

const root = dirname(dirname(fileURLToPath(import.meta.url)));

/** Files of an uncompressed tar archive: 512-byte headers with octal sizes, each followed by its bytes. */
function* tarFiles(archive) {
  for (let at = 0; at + 512 <= archive.length; ) {
    const text = (from, to) =>
      archive
        .subarray(at + from, at + to)
        .toString('utf8')
        .replace(/\0.*$/s, '');
    const name = text(0, 100);
    if (name === '') return;
    const size = Number.parseInt(text(124, 136), 8);
    if (text(156, 157) === '0') yield { name, bytes: archive.subarray(at + 512, at + 512 + size) };
    at += 512 + Math.ceil(size / 512) * 512;
  }
}

/** Unpacks once; returns the variables, or undefined where the driver does not run. */
export function swiftshaderEnv() {
  if (process.platform !== 'linux' || process.arch !== 'x64') return undefined;
  const folder = join(root, 'node_modules/.cache/swiftshader');
  if (!existsSync(folder)) {
    let source;
    try {
      source = createRequire(join(root, 'package.json')).resolve('@sparticuz/chromium');
    } catch {
      return undefined;
    }
    let at = dirname(source);
    while (!existsSync(join(at, 'bin/swiftshader.tar.br'))) {
      if (dirname(at) === at) return undefined;
      at = dirname(at);
    }
    const archive = brotliDecompressSync(readFileSync(join(at, 'bin/swiftshader.tar.br')));
    const made = `${folder}.${process.pid}`;
    mkdirSync(made, { recursive: true });
    for (const { name, bytes } of tarFiles(archive)) {
      writeFileSync(join(made, name.replace(/^.*\//, '')), bytes, { mode: 0o755 });
    }
    try {
      renameSync(made, folder);
    } catch (error) {
      rmSync(made, { recursive: true, force: true });
      if (!existsSync(folder)) throw error; // another process was first
    }
  }
  return {
    VK_ICD_FILENAMES: join(folder, 'vk_swiftshader_icd.json'),
    VK_DRIVER_FILES: join(folder, 'vk_swiftshader_icd.json'),
    LD_LIBRARY_PATH: [folder, process.env.LD_LIBRARY_PATH].filter(Boolean).join(':'),
  };
}

/**
 * Puts the variables into this process's environment, which test workers inherit. With INGOT_TEST_GPU=hardware the
 * machine's own GPU is tested instead.
 */
export function useSwiftshader() {
  if (process.env.INGOT_TEST_GPU !== 'hardware') Object.assign(process.env, swiftshaderEnv());
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  for (const [name, value] of Object.entries(swiftshaderEnv() ?? {})) console.log(`export ${name}=${value}`);
}
