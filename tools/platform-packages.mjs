// Builds the packages that carry the native addon, one for each platform, with the C++ cross compiler of the Python package
// `ziglang` (pip install ziglang==0.17.*). They have no install scripts; npm takes the one that fits (`optionalDependencies`
// of the published package: tools/publish-folder.mjs).
// Use: node tools/platform-packages.mjs [--out packages] [--zig "python3 -m ziglang"] [--jobs 2] [platform...]
//      node tools/platform-packages.mjs --here [--out packages]   of native/build, for this platform only: what tests install

import { spawnSync } from 'node:child_process';
import { copyFileSync, existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import process from 'node:process';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { parseArgs } from 'node:util';

const root = dirname(dirname(fileURLToPath(import.meta.url)));

/** What each package is built for, and where the build has run: others are compiled only. */
export const platforms = {
  'linux-x64-gnu': { os: 'linux', cpu: 'x64', libc: 'glibc', target: 'x86_64-linux-gnu.2.28', tested: true },
  'linux-x64-musl': { os: 'linux', cpu: 'x64', libc: 'musl', target: 'x86_64-linux-musl', tested: true },
  'linux-arm64-gnu': {
    os: 'linux',
    cpu: 'arm64',
    libc: 'glibc',
    target: 'aarch64-linux-gnu.2.28',
    tested: true,
  },
  'linux-arm64-musl': {
    os: 'linux',
    cpu: 'arm64',
    libc: 'musl',
    target: 'aarch64-linux-musl',
    tested: false,
  },
  'darwin-arm64': { os: 'darwin', cpu: 'arm64', target: 'aarch64-macos.11.0', tested: false },
  'darwin-x64': { os: 'darwin', cpu: 'x64', target: 'x86_64-macos.11.0', tested: false },
  'win32-x64': { os: 'win32', cpu: 'x64', target: 'x86_64-windows-gnu', tested: 'under Wine' },
  'win32-arm64': { os: 'win32', cpu: 'arm64', target: 'aarch64-windows-gnu', tested: false },
};

/** The package of a platform. */
export const packageName = (platform) => `ingot-${platform}`;

/** The platform that this process runs on; undefined when there is no package for it. */
export function thisPlatform() {
  const libc =
    process.platform !== 'linux'
      ? undefined
      : process.report.getReport().header.glibcVersionRuntime === undefined
        ? 'musl'
        : 'glibc';
  return Object.keys(platforms).find((name) => {
    const { os, cpu, libc: wanted } = platforms[name];
    return os === process.platform && cpu === process.arch && wanted === libc;
  });
}

const { version, license } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'));

/** Writes a package of `addon` below `out`; its folder. */
export function writePackage(out, platform, addon) {
  const { os, cpu, libc, target, tested } = platforms[platform];
  const folder = join(out, packageName(platform));
  rmSync(folder, { recursive: true, force: true });
  mkdirSync(folder, { recursive: true });
  copyFileSync(addon, join(folder, 'ingot.node'));
  copyFileSync(join(root, 'LICENSE'), join(folder, 'LICENSE'));
  const manifest = {
    name: packageName(platform),
    version,
    description: `Native kernels of ingot for ${platform}.`,
    license,
    os: [os],
    cpu: [cpu],
    ...(libc === undefined ? {} : { libc: [libc] }),
    main: 'ingot.node',
    files: ['ingot.node'],
  };
  writeFileSync(join(folder, 'package.json'), `${JSON.stringify(manifest, null, 2)}\n`);
  const how = tested
    ? `Its kernels were run ${tested === true ? 'on this platform' : tested}.`
    : 'It was compiled, and has not run on such a machine yet.';
  writeFileSync(
    join(folder, 'README.md'),
    `# ${packageName(platform)}\n\nThe native addon of ingot, built for ${target}. ${how}\n`,
  );
  return folder;
}

function build(platform, { zig, jobs }) {
  const { target } = platforms[platform];
  const folder = `build-${platform}`;
  const [program, ...rest] = zig;
  mkdirSync(join(root, 'native', folder), { recursive: true });
  const variables = [
    `CXX=${[...zig, 'c++', '-target', target].join(' ')}`,
    `TARGET=${target}`,
    `BUILD=${folder}`,
  ];
  // This linker writes no bundles for macOS, and cannot leave their symbols out; Node loads libraries as well.
  if (target.includes('macos')) variables.push('ADDON_LD=-dynamiclib -undefined dynamic_lookup');
  else variables.push('LDFLAGS=-pthread -s');
  if (target.startsWith('aarch64')) {
    // This compiler names a CPU's features in its own way; see FLAGS_neon in native/Makefile.
    const neon = '-mcpu=generic+v8_2a+dotprod+fullfp16';
    variables.push(`FLAGS_neon=${neon}`, `FLAGS_neon_i8mm=${neon}+i8mm+bf16`);
  }
  if (target.includes('windows')) {
    const importLibrary = (name, definition) => {
      const machine = target.startsWith('aarch64') ? 'arm64' : 'i386:x86-64';
      const [from, to] = [`${name}.def`, `lib${name}.a`].map((file) => join(root, 'native', folder, file));
      writeFileSync(from, definition);
      run(program, [...rest, 'dlltool', '-m', machine, '-d', from, '-l', to]);
      return `${folder}/lib${name}.a`;
    };
    // Node-API lives in the program that loads the addon.
    const headers = dirname(fileURLToPath(import.meta.resolve('node-api-headers/package.json')));
    const functions = ['js_native_api.def', 'node_api.def'].map((name) =>
      readFileSync(join(headers, 'def', name), 'utf8').replace(/^(NAME|EXPORTS).*$/gm, ''),
    );
    const waiting = 'LIBRARY api-ms-win-core-synch-l1-2-0.dll\nEXPORTS\nWaitOnAddress\nWakeByAddressAll\n';
    variables.push(
      `NODE_LIB=${importLibrary('node_api', `NAME NODE.EXE\nEXPORTS\n${functions.join('\n')}`)}`,
      `WAIT_LIB=${importLibrary('waiting', waiting)}`,
    );
  }
  run('make', ['-C', 'native', `-j${jobs}`, 'addon', ...variables]);
  return join(root, 'native', folder, 'ingot.node');
}

function run(command, args) {
  const { status, error } = spawnSync(command, args, { cwd: root, stdio: ['ignore', 'inherit', 'inherit'] });
  if (error) throw error;
  if (status !== 0) throw new Error(`${command} ${args.join(' ')} failed`);
}

if (process.argv[1] && import.meta.url === pathToFileURL(process.argv[1]).href) {
  const { values, positionals } = parseArgs({
    allowPositionals: true,
    options: {
      out: { type: 'string', default: 'packages' },
      zig: { type: 'string', default: 'python3 -m ziglang' },
      jobs: { type: 'string', default: '2' },
      here: { type: 'boolean', default: false },
    },
  });
  const out = resolve(values.out);
  const wanted = values.here
    ? [thisPlatform()]
    : positionals.length > 0
      ? positionals
      : Object.keys(platforms);
  for (const platform of wanted) {
    if (!Object.hasOwn(platforms, platform))
      throw new Error(`${platform} is none of ${Object.keys(platforms).join(', ')}`);
    const addon = values.here
      ? join(root, 'native/build/ingot.node')
      : build(platform, { zig: values.zig.split(' '), jobs: values.jobs });
    if (!existsSync(addon)) throw new Error(`${addon} is not there: build it first`);
    console.log(writePackage(out, platform, addon));
  }
}
