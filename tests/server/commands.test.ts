// Commands as processes, as a user has them: presets from a file to an answer, and agents that are started on a model.

import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { chmodSync, mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { basename, delimiter, join } from 'node:path';
import process from 'node:process';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { tinyChatModel } from '../tiny-chat.ts';
import { builtCommand } from './built.ts';

let folder: string;
let model: string;
let env: NodeJS.ProcessEnv;

/** Stands in for an agent: says how it was started, and asks the model once. */
const agent = `#!${process.execPath}
const { ANTHROPIC_BASE_URL: url, ANTHROPIC_AUTH_TOKEN: key, ANTHROPIC_MODEL: model } = process.env;
const { INGOT_LAUNCH_KEY, OPENCODE_CONFIG_CONTENT, ANTHROPIC_API_KEY } = process.env;
const args = process.argv.slice(2);
const ask = async () => {
  if (!url) return undefined;
  const ask = (token) => fetch(url + '/v1/messages', {
    method: 'POST',
    headers: { 'content-type': 'application/json', authorization: 'Bearer ' + token },
    body: JSON.stringify({ model: 'claude-something', max_tokens: 4, messages: [{ role: 'user', content: 'Hi' }] }),
  });
  return [(await ask(key)).status, (await ask('wrong')).status];
};
ask().then((statuses) => {
  console.log(JSON.stringify({ args, url, model, statuses, INGOT_LAUNCH_KEY, OPENCODE_CONFIG_CONTENT, ANTHROPIC_API_KEY }));
  process.exit(7);
});
`;

beforeAll(async () => {
  await builtCommand();
  ({ folder, path: model } = await tinyChatModel());
  const bin = join(folder, 'bin');
  mkdirSync(bin);
  for (const name of ['claude', 'codex', 'opencode']) {
    writeFileSync(join(bin, name), agent);
    chmodSync(join(bin, name), 0o755);
  }
  env = {
    ...process.env,
    PATH: `${bin}${delimiter}${process.env.PATH}`,
    HF_HOME: join(folder, 'hf'),
    INGOT_CACHE: join(folder, 'cache'),
    INGOT_DATA: join(folder, 'data'),
    INGOT_THREADS: '1',
    ANTHROPIC_API_KEY: 'of-the-user',
  };
}, 300_000);
afterAll(() => rmSync(folder, { recursive: true, force: true }));

async function ingot(args: readonly string[], more: NodeJS.ProcessEnv = {}) {
  const child = spawn(process.execPath, ['dist/cli/main.js', ...args], {
    env: { ...env, ...more },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  const written = { out: '', err: '' };
  child.stdout.on('data', (chunk) => {
    written.out += chunk;
  });
  child.stderr.on('data', (chunk) => {
    written.err += chunk;
  });
  const [code, signal] = await once(child, 'close');
  return { code: code ?? signal, ...written };
}

test('a preset is made from a file, named again, and answers as it says', async () => {
  const file = join(folder, 'Modelfile');
  // The path is meant from where the file is; the template shows what the model is told.
  const template = '{% for m in messages %}{{ m.role }}:{{ m.content }};{% endfor %}';
  writeFileSync(
    file,
    `FROM ./${basename(model)}\nSYSTEM Be brief\nTEMPLATE ${template}\nPARAMETER num_predict 3\nMESSAGE user Hi\nMESSAGE assistant Yes\n`,
  );
  expect(await ingot(['create', 'mario', '-f', file])).toEqual({
    code: 0,
    out: `created mario, a preset of ${model}\n`,
    err: '',
  });
  expect(await ingot(['cp', 'mario', 'gpt-4o'])).toMatchObject({ code: 0 });
  const [shown, listed, answer, vectors] = await Promise.all([
    ingot(['show', 'gpt-4o', '--json']),
    ingot(['list', '--json']),
    ingot(['run', 'gpt-4o', 'Hello', '--json', '--seed', '1']),
    ingot(['embed', 'mario', 'one', 'two', '--json']),
  ]);
  expect(JSON.parse(shown.out)).toMatchObject({ path: model, preset: { from: model, system: 'Be brief' } });
  expect(JSON.parse(listed.out).models).toMatchObject([{ name: 'gpt-4o', path: model }, { name: 'mario' }]);
  const { stats } = JSON.parse(answer.out);
  expect(stats).toMatchObject({ generatedTokens: 3, stopReason: 'length' });
  expect(JSON.parse(vectors.out).embeddings.map((vector: number[]) => vector.length)).toEqual([64, 64]);
  expect(await ingot(['rm', 'mario'])).toMatchObject({ out: 'removed the preset mario\n' });
});

test('agents get a server of their own, by their environment, and their exit code is passed on', async () => {
  const [claude, codex, opencode] = await Promise.all([
    ingot(['launch', 'claude', model, '--', '-p', 'Hi there']),
    ingot(['launch', 'codex', model, '--', 'exec', 'x']),
    ingot(['launch', 'opencode', model]),
  ]);
  const name = basename(model, '.gguf');
  expect([claude.code, codex.code, opencode.code]).toEqual([7, 7, 7]);
  const told = JSON.parse(claude.out);
  expect(told).toMatchObject({ args: ['-p', 'Hi there'], model: name, statuses: [200, 401] });
  expect(told.ANTHROPIC_API_KEY).toBeUndefined();
  const { args, INGOT_LAUNCH_KEY } = JSON.parse(codex.out);
  expect(INGOT_LAUNCH_KEY).toMatch(/^\S{20,}$/);
  expect(args).toEqual(
    expect.arrayContaining([`model="${name}"`, 'model_provider="ingot"', 'model_context_window=8192']),
  );
  expect(args.slice(-2)).toEqual(['exec', 'x']);
  expect(args.join(' ')).toMatch(/base_url="http:\/\/127\.0\.0\.1:\d+\/v1" -c .*env_key="INGOT_LAUNCH_KEY"/);
  const config = JSON.parse(JSON.parse(opencode.out).OPENCODE_CONFIG_CONTENT);
  expect(config).toMatchObject({
    model: `ingot/${name}`,
    provider: { ingot: { npm: '@ai-sdk/openai-compatible' } },
  });
  expect(await ingot(['ps', '--json'])).toMatchObject({ out: '{"servers":[]}\n' });
});

test('an agent that is not there is told before anything is loaded', async () => {
  const missing = await ingot(['launch', 'claude', model], { PATH: '/nowhere' });
  expect(missing).toEqual({
    code: 1,
    out: '',
    err: 'error: claude is not on the PATH; "npm install -g @anthropic-ai/claude-code" installs it\n',
  });
});
