// Builds a checkout: the native addon (make), then the TypeScript (tsdown). `npm ci` runs it through `prepare`.
// Each half is skipped when a hash of its inputs equals the one of the last good build, so a second run does nothing.
// Use: node tools/build.mjs [--quiet] [--force] [--native-only | --page-only]

import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import process from 'node:process';
import { fileURLToPath } from 'node:url';

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const flags = new Set(process.argv.slice(2));
const say = (line) => flags.has('--quiet') || console.log(line);
const seconds = (start) => `${((performance.now() - start) / 1000).toFixed(1)} s`;

/** Files below `folder` (relative to the root) that the build reads; tests and build outputs are not among them. */
function inputs(folder) {
  if (!existsSync(join(root, folder))) return [];
  return readdirSync(join(root, folder), { withFileTypes: true }).flatMap((entry) => {
    const path = `${folder}/${entry.name}`;
    if (entry.isDirectory())
      return /^(build.*|node_modules|results|\..*)$/.test(entry.name) ? [] : inputs(path);
    return entry.isFile() && !/\.test\.ts$/.test(entry.name) ? [path] : [];
  });
}

/** Hash of the contents of `files` and of anything else that changes the output. */
function hashOf(files, ...rest) {
  const hash = createHash('sha256');
  for (const text of rest) hash.update(`${text}\0`);
  for (const file of [...files].sort()) {
    if (existsSync(join(root, file)))
      hash
        .update(`${file}\0`)
        .update(readFileSync(join(root, file)))
        .update('\0');
  }
  return hash.digest('hex');
}

/** Runs `build` unless `outputs` exist and were made from the same inputs. `build` returns undefined or a reason it failed. */
function step(name, stampFile, hash, outputs, build) {
  const stamp = join(root, stampFile);
  const fresh =
    existsSync(stamp) &&
    readFileSync(stamp, 'utf8') === hash &&
    outputs.every((o) => existsSync(join(root, o)));
  if (fresh && !flags.has('--force')) return undefined;
  const start = performance.now();
  const problem = build();
  if (problem) return problem;
  mkdirSync(dirname(stamp), { recursive: true });
  writeFileSync(stamp, hash);
  say(`built ${name} in ${seconds(start)}`);
  return undefined;
}

/** The line of a failed build that says most: the first error, else the last line. */
const reason = (text) => {
  const lines = text.trim().split('\n');
  return lines.find((line) => /\berror\b:/i.test(line)) ?? lines.at(-1) ?? '';
};

function makeAddon() {
  const compiler = process.env.CXX ?? 'g++';
  for (const tool of ['make', compiler]) {
    if (spawnSync(tool, ['--version'], { stdio: 'ignore' }).status !== 0) return `${tool} was not found`;
  }
  const made = spawnSync('make', ['-C', 'native', '-j2', 'addon'], {
    cwd: root,
    encoding: 'utf8',
    maxBuffer: 1 << 28,
  });
  if (made.status === 0) return undefined;
  mkdirSync(join(root, 'native/build'), { recursive: true });
  writeFileSync(join(root, 'native/build/build.log'), `${made.stdout}\n${made.stderr}`);
  return `make failed, see native/build/build.log: ${reason(made.stderr ?? '')}`;
}

function buildAddon() {
  const files = [
    ...inputs('native').filter((f) => !f.startsWith('native/tests/')),
    'src/kernel/tile-opcodes.ts',
    'src/kernel/signatures.ts',
    'tools/gen-tile-opcodes.mjs',
    'tools/gen-signatures.mjs',
    'src/quant/layout-table.ts',
    'tools/gen-layouts.mjs',
  ];
  const hash = hashOf(files, process.env.CXX ?? '', process.env.CXXFLAGS ?? '', process.arch);
  const failed = join(root, 'native/build/.failed');
  const seen = existsSync(failed) && readFileSync(failed, 'utf8') === hash;
  if (seen && flags.has('--quiet')) return; // said before, and nothing has changed
  const problem = step(
    'native/build/ingot.node',
    'native/build/.inputs',
    hash,
    ['native/build/ingot.node'],
    makeAddon,
  );
  rmSync(failed, { force: true });
  if (!problem) return;
  rmSync(join(root, 'native/build/ingot.node'), { force: true }); // one of other sources must not be loaded
  mkdirSync(dirname(failed), { recursive: true });
  writeFileSync(failed, hash);
  console.log(
    `ingot: no native kernels (${problem}); it will run on plain TypeScript, which is many times slower.`,
  );
}

function bundle() {
  const require = createRequire(join(root, 'package.json'));
  let tsdown;
  try {
    tsdown = join(dirname(require.resolve('tsdown/package.json')), 'dist/run.mjs');
  } catch {
    return 'tsdown is not installed; run `npm ci` without --omit=dev';
  }
  const ran = spawnSync(process.execPath, [tsdown], { cwd: root, encoding: 'utf8', maxBuffer: 1 << 28 });
  return ran.status === 0 ? undefined : `tsdown failed:\n${ran.stdout}${ran.stderr}`;
}

function buildTypeScript() {
  const files = [
    ...inputs('src'),
    ...inputs('bench'),
    'package.json',
    'package-lock.json',
    'tsconfig.json',
    'tsdown.config.ts',
  ];
  const problem = step(
    'dist',
    'dist/.inputs',
    hashOf(files, process.version),
    ['dist/cli/main.js', 'dist/index.js', 'dist/web/index.js'],
    bundle,
  );
  if (problem) {
    console.error(`ingot: ${problem}`);
    process.exitCode = 1;
  }
}

/** Libraries of the chat page, which has no build: one file of each, beside its own. The page works without them. */
const pageLibraries = {
  'highlight.js': { from: '@highlightjs/cdn-assets/es/highlight.min.js', before: '', after: '' },
  'temml.js': {
    from: 'temml/dist/temml.min.js',
    before: '/*! Temml, MIT licence, https://temml.org */\n',
    after: '\nexport default temml;\n',
  },
};

function copyPageLibraries() {
  const modules = join(root, 'node_modules');
  for (const [name, { from, before, after }] of Object.entries(pageLibraries)) {
    if (!existsSync(join(modules, from))) continue;
    mkdirSync(join(root, 'web/vendor'), { recursive: true });
    const text = readFileSync(join(modules, from), 'utf8');
    writeFileSync(join(root, 'web/vendor', name), `${before}${text}${after}`);
  }
}

const [major = 0, minor = 0] = process.versions.node.split('.').map(Number);
if (major < 20 || (major === 20 && minor < 19)) {
  console.error(`ingot needs Node 20.19 or newer; this is ${process.version}.`);
  process.exitCode = 1;
} else {
  copyPageLibraries();
  if (!flags.has('--page-only')) buildAddon();
  if (!flags.has('--page-only') && !flags.has('--native-only')) buildTypeScript();
}
