// The package as a user gets it: packed, installed by npm into an empty project with the platform's own package, and used there by
// Node, TypeScript and bundlers. Nothing is downloaded: libraries come from this checkout.

import { execFile } from 'node:child_process';
import { cpSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import process from 'node:process';
import { promisify } from 'node:util';
import { build } from 'esbuild-wasm';
import ts from 'typescript';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { addonPath } from '../../src/device/cpu/addon.ts';
import { builtCommand } from '../server/built.ts';
import { tinyChatModel } from '../tiny-chat.ts';

const run = promisify(execFile);
const folder = mkdtempSync(join(tmpdir(), 'ingot-package-'));
const project = join(folder, 'project');
let model: string;
/** No compiler, and nothing of this checkout. */
const env = { PATH: folder, HOME: folder, INGOT_THREADS: '1' };

/** Pages of the guide whose TypeScript is a program, one for each page. */
const guides = readdirSync('docs/guide')
  .filter((name) => name !== 'README.md')
  .map((name) => basename(name, '.md'));

const programOf = (page: string): string =>
  [...readFileSync(`docs/guide/${page}.md`, 'utf8').matchAll(/^```ts\n([\s\S]*?)^```$/gm)]
    .map(([, code]) => code)
    .join('');

interface Locked {
  readonly dev?: boolean;
  readonly optional?: boolean;
  readonly peer?: boolean;
}

/** Names of the libraries that a user gets with the package, and theirs. */
function libraries(): string[] {
  const { packages } = JSON.parse(readFileSync('package-lock.json', 'utf8')) as {
    packages: Readonly<Record<string, Locked>>;
  };
  return Object.entries(packages)
    .filter(
      ([path, { dev, optional, peer }]) =>
        /^node_modules\/(@[^/]+\/)?[^/]+$/.test(path) && !dev && !optional && !peer,
    )
    .map(([path]) => path.slice('node_modules/'.length));
}
/** What users of the AI SDK have. */
const ofTheAiSdk = ['@ai-sdk/provider', 'json-schema'];

beforeAll(async () => {
  await builtCommand();
  const tool = async (...args: string[]): Promise<string> =>
    (await run(process.execPath, [...args, '--out', folder])).stdout.trim();
  const folders = [await tool('tools/publish-folder.mjs')];
  if (addonPath() !== undefined) folders.push(await tool('tools/platform-packages.mjs', '--here'));
  await run('npm', ['pack', '--ignore-scripts', ...folders], { cwd: folder });
  const tarball = (name: string): string =>
    `file:${join(folder, readdirSync(folder).find((file) => file.startsWith(`${name}-0`)) ?? '')}`;
  const dependencies = {
    ...Object.fromEntries(
      [...libraries(), ...ofTheAiSdk].map((name) => [
        name,
        `file:${join(process.cwd(), 'node_modules', name)}`,
      ]),
    ),
    ...Object.fromEntries(folders.map((each) => [basename(each), tarball(basename(each))])),
  };
  cpSync('tests/tooling/user-project', project, { recursive: true });
  for (const page of guides) writeFileSync(join(project, `${page}.ts`), programOf(page));
  writeFileSync(
    join(project, 'globals.d.ts'),
    'declare const process: Record<"stdout" | "stderr", { write(text: string): boolean }>;',
  );
  writeFileSync(
    join(project, 'package.json'),
    JSON.stringify({ type: 'module', private: true, dependencies }),
  );
  await run(
    'npm',
    ['install', '--offline', '--install-links', '--ignore-scripts', '--no-audit', '--no-fund'],
    {
      cwd: project,
      env: { ...process.env, npm_config_cache: join(folder, 'npm') },
    },
  );
  model = join(folder, 'tiny.gguf');
  const made = await tinyChatModel();
  cpSync(made.path, model);
  rmSync(made.folder, { recursive: true });
}, 120_000);
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const installed = (): string[] =>
  readdirSync(join(project, 'node_modules')).filter((name) => !name.startsWith('.'));

test('what is installed is small, runs no scripts, and has no WebGPU', () => {
  expect(installed()).toContain('ingot');
  expect(installed()).not.toContain('webgpu');
  const manifest = JSON.parse(readFileSync(join(project, 'node_modules/ingot/package.json'), 'utf8'));
  expect(manifest.scripts).toBeUndefined();
  expect(Object.keys(manifest.optionalDependencies)).toHaveLength(8);
});

test('the sources of the addon come with the headers that a checkout makes, and no addon of this machine does', () => {
  const native = readdirSync(join(project, 'node_modules/ingot/native'), { recursive: true });
  expect(native).toEqual(
    expect.arrayContaining(['Makefile', join('generated', 'layouts.h'), join('node-api', 'node_api.h')]),
  );
  expect(native.filter((name) => String(name).endsWith('.node'))).toEqual([]);
});

test('a tarball of the checkout has the addon of this machine and what builds another', async () => {
  const { stdout } = await run('npm', ['pack', '--dry-run', '--json', '--ignore-scripts']);
  const files = (JSON.parse(stdout)[0].files as { path: string }[]).map(({ path }) => path);
  expect(files.includes('native/build/ingot.node')).toBe(addonPath() !== undefined);
  const { files: listed, scripts } = JSON.parse(readFileSync('package.json', 'utf8'));
  expect(listed).toEqual(expect.arrayContaining(['native/generated', 'native/node-api']));
  expect(scripts.prepack).toBe('node tools/native-headers.mjs');
});

test.skipIf(addonPath() === undefined)(
  'Node answers on native kernels; WebGPU says what it needs',
  async () => {
    const { stdout } = await run(process.execPath, ['main.mjs', model], { cwd: project, env });
    expect(JSON.parse(stdout)).toEqual({
      tokens: 4,
      gpu: expect.stringContaining(
        "the package 'webgpu' is not installed, which Ingot needs for GPUs only: `npm install webgpu`",
      ),
    });
  },
);

test.skipIf(addonPath() === undefined)('the command answers', async () => {
  const args = [
    'node_modules/ingot/dist/cli/main.js',
    'run',
    model,
    'Hi',
    '-n',
    '2',
    '--json',
    '--temperature',
    '0',
  ];
  const { stdout } = await run(process.execPath, args, { cwd: project, env });
  expect(JSON.parse(stdout).stats.generatedTokens).toBe(2);
});

test('without the platform package the error says what to do', async () => {
  const bare = join(folder, 'bare');
  cpSync(project, bare, { recursive: true, filter: (path) => !/node_modules\/ingot-/.test(path) });
  const { stdout } = await run(process.execPath, ['main.mjs', model], { cwd: bare, env });
  expect(JSON.parse(stdout).error).toMatch(
    /no native kernels for \w+ \w+: the package ingot-\S+ .*is not installed. Install ingot without --omit=optional, or `npm install ingot-.*or build it: `make -C .*native`/,
  );
});

test('TypeScript takes all entries and the guide, strictly and with the libraries checked', () => {
  const file = ts.readConfigFile(join(project, 'tsconfig.json'), ts.sys.readFile);
  const { options, fileNames } = ts.parseJsonConfigFileContent(file.config, ts.sys, project);
  const problems = ts.getPreEmitDiagnostics(ts.createProgram(fileNames, options));
  const host = {
    getCanonicalFileName: (name: string) => name,
    getCurrentDirectory: () => project,
    getNewLine: () => '\n',
  };
  expect(ts.formatDiagnostics(problems, host)).toBe('');
});

test.skipIf(addonPath() === undefined)('esbuild bundles it for Node, beside its packages', async () => {
  const { errors } = await build({
    absWorkingDir: project,
    entryPoints: ['main.mjs'],
    outfile: join(project, 'bundled/main.mjs'),
    bundle: true,
    format: 'esm',
    platform: 'node',
    logLevel: 'silent',
  });
  expect(errors).toEqual([]);
  const { stdout } = await run(process.execPath, ['bundled/main.mjs', model], { cwd: project, env });
  expect(JSON.parse(stdout)).toMatchObject({ tokens: 4 });
});

test.skipIf(addonPath() === undefined)('the programs of the guide run', async () => {
  const runs = guides.map(async (page) => {
    const code = programOf(page).replaceAll("'smollm2:135m'", JSON.stringify(model));
    const { outputText } = ts.transpileModule(code, {
      compilerOptions: { target: ts.ScriptTarget.ES2022, module: ts.ModuleKind.ESNext },
    });
    writeFileSync(join(project, `${page}.mjs`), outputText);
    const { stdout } = await run(process.execPath, [`${page}.mjs`], { cwd: project, env });
    return [page, stdout !== ''];
  });
  expect(await Promise.all(runs)).toEqual(guides.map((page) => [page, true]));
});
