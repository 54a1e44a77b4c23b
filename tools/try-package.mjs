// Installs what would be published as users do, each in an empty project, and uses it there: with npm, pnpm and Bun, on other
// releases of Node, checked by TypeScript beside `ai`, bundled by esbuild, Vite and Next. All is fetched from the package registry, so
// it is no test of `npm test`; where that cannot be reached, it says so and passes.
// Use: node tools/try-package.mjs [NAME …]     after `npm run build`; names are those of `trials` below, default: all

import { execFile, spawn } from 'node:child_process';
import {
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { homedir, tmpdir } from 'node:os';
import { basename, dirname, join } from 'node:path';
import process from 'node:process';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const execute = promisify(execFile);
const model = 'smollm2:135m';
/** The packages beside which Ingot is tried. */
const releases = {
  '@types/node': '24',
  ai: '7',
  esbuild: '0',
  next: '16',
  react: '19',
  'react-dom': '19',
  typescript: '6',
  vite: '8',
  zod: '4',
};
const folder = mkdtempSync(join(tmpdir(), 'ingot-try-'));
process.on('exit', () => rmSync(folder, { recursive: true, force: true }));

async function run(command, args, options = {}) {
  try {
    const { stdout } = await execute(command, args, { maxBuffer: 1 << 26, ...options });
    return stdout.trim();
  } catch (error) {
    throw new Error(
      `${command} ${args.join(' ')}: ${error.stderr ?? ''}${error.stdout ?? error.message}`.slice(0, 3000),
    );
  }
}

/** No compiler on the PATH and nothing of this checkout; the model lies where `ingot pull` put it. */
const bare = { PATH: folder, HOME: homedir() };

/** The tarballs of the package and of this platform's package. */
async function tarballs() {
  const made = [];
  for (const [tool, ...args] of [['publish-folder.mjs'], ['platform-packages.mjs', '--here']])
    made.push(
      await run(process.execPath, [join(root, 'tools', tool), ...args, '--out', folder], { cwd: root }),
    );
  await run('npm', ['pack', '--ignore-scripts', ...made], { cwd: folder });
  const files = readdirSync(folder);
  return Object.fromEntries(
    made.map((path) => {
      const name = basename(path);
      return [
        name,
        `file:${join(
          folder,
          files.find((file) => file.startsWith(`${name}-0`)),
        )}`,
      ];
    }),
  );
}

/** A new project that depends on Ingot and on packages of the registry; `install` are the words of its manager. */
async function project(name, packages, install = ['npm', 'install', '--no-audit', '--no-fund']) {
  const path = join(folder, name);
  cpSync(join(root, 'tests/tooling/user-project'), path, { recursive: true });
  const dependencies = { ...ingot, ...Object.fromEntries(packages.map((each) => [each, releases[each]])) };
  // The other platforms' packages are not published yet.
  const overrides = ingot;
  writeFileSync(
    join(path, 'package.json'),
    JSON.stringify({ type: 'module', private: true, dependencies, overrides, pnpm: { overrides } }),
  );
  await run(install[0], install.slice(1), { cwd: path });
  return path;
}

/** The program of the user project answers with four tokens, on native kernels. */
async function answers(path, command, args = ['main.mjs']) {
  const found = JSON.parse(await run(command, [...args, model], { cwd: path, env: bare }));
  if (found.tokens !== 4) throw new Error(`the program printed ${JSON.stringify(found)}`);
}

/** A file of a package of the registry, each in a folder of its own. */
async function tool(name, file) {
  const path = join(folder, `tool-${name.replaceAll(/\W/g, '-')}`);
  if (existsSync(path)) return join(path, 'node_modules', file);
  mkdirSync(path);
  // The package `node` gets its binary by its install script.
  writeFileSync(join(path, 'package.json'), JSON.stringify({ allowScripts: { [name]: true, node: true } }));
  await run('npm', ['install', '--no-audit', '--no-fund', name], { cwd: path });
  return join(path, 'node_modules', file);
}

/** The code block of a page of the guide that starts with a line. */
function guideSnippet(page, language, head) {
  const text = readFileSync(join(root, `docs/guide/${page}.md`), 'utf8');
  const block = text.split('```').find((each) => each.startsWith(`${language}\n${head}`));
  if (block === undefined) throw new Error(`docs/guide/${page}.md has no block that starts with ${head}`);
  return block.slice(language.length + 1);
}

const nodes = Object.fromEntries(
  ['node@22', 'node@24'].map((release) => [
    release,
    async () => {
      const path = await project(release, []);
      await answers(path, await tool(release, 'node/bin/node'));
    },
  ]),
);

const trials = {
  npm: async () => {
    await answers(await project('npm', []), process.execPath);
  },
  pnpm: async () => {
    const pnpm = await tool('pnpm@12', 'pnpm/bin/pnpm.mjs');
    const node = await tool('node@24', 'node/bin/node'); // pnpm asks for a newer release than Ingot
    await answers(await project('pnpm', [], [node, pnpm, 'install']), process.execPath);
  },
  bun: async () => {
    const bun = await tool('@oven/bun-linux-x64@1', '@oven/bun-linux-x64/bin/bun');
    await answers(await project('bun', [], [bun, 'install']), bun);
  },
  ...nodes,
  typescript: async () => {
    const path = await project('typescript', ['ai', 'typescript', 'zod', '@types/node']);
    // The declarations of `ai` itself need Node's types and do not hold under exactOptionalPropertyTypes.
    const settings = readFileSync(join(path, 'tsconfig.json'), 'utf8')
      .replace('"types": []', '"types": ["node"]')
      .replace(/.*exactOptionalPropertyTypes.*\n/, '');
    writeFileSync(join(path, 'tsconfig.json'), settings);
    writeFileSync(
      join(path, 'ai.ts'),
      "import { generateText } from 'ai';\nimport { createIngot } from 'ingot/ai-sdk';\n" +
        `export const answer = generateText({ model: createIngot()('${model}'), prompt: 'Hi' });\n`,
    );
    await run(process.execPath, ['node_modules/typescript/lib/tsc.js', '-p', '.'], { cwd: path });
  },
  ai: async () => {
    const path = await project('ai', ['ai']);
    writeFileSync(
      join(path, 'ai.mjs'),
      "import { generateText } from 'ai';\nimport { createIngot } from 'ingot/ai-sdk';\n" +
        'const ingot = createIngot();\nconst { usage } = await generateText({\n' +
        "  model: ingot(process.argv[2]), prompt: 'Hi', maxOutputTokens: 4, seed: 1,\n});\n" +
        'await ingot.dispose?.();\nprocess.stdout.write(JSON.stringify({ tokens: usage.outputTokens }));\n',
    );
    await answers(path, process.execPath, ['ai.mjs']);
  },
  esbuild: async () => {
    const path = await project('esbuild', ['esbuild']);
    await run(
      join(path, 'node_modules/.bin/esbuild'),
      ['main.mjs', '--bundle', '--platform=node', '--format=esm', '--outfile=bundled/main.mjs'],
      { cwd: path },
    );
    await answers(path, process.execPath, ['bundled/main.mjs']);
  },
  vite: async () => {
    const path = await project('vite', ['vite']);
    writeFileSync(join(path, 'index.html'), '<script type="module" src="/start.ts"></script>');
    writeFileSync(
      join(path, 'start.ts'),
      "import { greet } from './page.ts';\nonchange = async (event) => console.log(await greet(event.target.files[0]));\n",
    );
    await run(join(path, 'node_modules/.bin/vite'), ['build'], { cwd: path });
    const assets = readdirSync(join(path, 'dist/assets'));
    const code = assets.map((file) => readFileSync(join(path, 'dist/assets', file), 'utf8')).join('');
    if (!code.includes('requestAdapter')) throw new Error(`no engine in the bundle: ${assets}`);
  },
  next: async () => {
    const path = await project('next', ['next', 'react', 'react-dom', 'ai']);
    for (const [file, language, head] of [
      ['next.config.mjs', 'js', '// next.config.mjs\n'],
      ['app/api/chat/route.js', 'js', '// app/api/chat/route.js\n'],
    ]) {
      mkdirSync(dirname(join(path, file)), { recursive: true });
      writeFileSync(join(path, file), guideSnippet('deployment', language, head));
    }
    for (const file of readdirSync(path).filter((name) => /^(ai|all|page)\.ts$|^tsconfig/.test(name)))
      rmSync(join(path, file));
    writeFileSync(
      join(path, 'app/layout.js'),
      'export default ({ children }) => <html><body>{children}</body></html>;\n',
    );
    writeFileSync(join(path, 'app/page.js'), 'export default () => <p>chat</p>;\n');
    const next = join(path, 'node_modules/next/dist/bin/next');
    await run(process.execPath, [next, 'build'], { cwd: path });
    const server = spawn(process.execPath, [next, 'start', '-p', '0'], { cwd: path, env: bare });
    try {
      const url = await new Promise((done, fail) => {
        server.stdout.on('data', (text) => {
          const [found] = /http:\/\/localhost:\d+/.exec(text) ?? [];
          if (found) done(found);
        });
        server.on('exit', () => fail(new Error('next start ended')));
      });
      const messages = [{ id: '1', role: 'user', parts: [{ type: 'text', text: 'Hi' }] }];
      const answer = await fetch(`${url}/api/chat`, { method: 'POST', body: JSON.stringify({ messages }) });
      const text = await answer.text();
      if (!text.includes('"type":"text-delta"')) throw new Error(`the route answered ${text.slice(0, 500)}`);
    } finally {
      server.kill();
    }
  },
};

const reached = await run('npm', ['view', 'npm', 'version']).catch(() => undefined);
if (reached === undefined) {
  console.log('skipped: the package registry cannot be reached');
  process.exit();
}
const ingot = await tarballs();
const names = process.argv.slice(2);
const unknown = names.filter((name) => !(name in trials));
if (unknown.length > 0) throw new Error(`unknown trial ${unknown}; known: ${Object.keys(trials).join(', ')}`);
let failed = 0;
for (const [name, trial] of Object.entries(trials)) {
  if (names.length > 0 && !names.includes(name)) continue;
  try {
    await trial();
    console.log(`${name}: ok`);
  } catch (error) {
    failed++;
    console.log(`${name}: FAILED: ${error.message}`);
  }
}
process.exitCode = failed > 0 ? 1 : 0;
