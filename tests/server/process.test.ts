// `ingot serve`, `ps` and `stop` as processes, as a user has them: the built command line over a tiny model.

import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import OpenAI from 'openai';
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest';
import { tinyChatModel } from '../tiny-chat.ts';
import { builtCommand } from './built.ts';
import { until } from './harness.ts';

let folder: string;
let model: string;
let env: NodeJS.ProcessEnv;
const started = new Set<Server>();

beforeAll(async () => {
  await builtCommand();
  ({ folder, path: model } = await tinyChatModel());
  const { INGOT_API_KEY: _, ...rest } = process.env;
  // A cache of its own: servers that run on this machine for others are neither listed nor stopped.
  env = { ...rest, HF_HOME: join(folder, 'hf'), INGOT_CACHE: mkdtempSync(join(folder, 'cache-')) };
}, 300_000);
afterEach(async () => {
  for (const { child, exit } of started) {
    child.kill('SIGKILL');
    await exit;
  }
  started.clear();
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

/** Waits for a process: its exit code, or the name of the signal that ended it, and what it wrote. */
async function ended(child: ChildProcess) {
  const written = { out: '', err: '' };
  child.stdout?.on('data', (chunk) => {
    written.out += chunk;
  });
  child.stderr?.on('data', (chunk) => {
    written.err += chunk;
  });
  const [code, signal] = await once(child, 'close');
  return { code: code ?? signal, ...written };
}

const ingot = (...args: readonly string[]): ChildProcess =>
  spawn(process.execPath, ['dist/cli/main.js', ...args], { env, stdio: ['ignore', 'pipe', 'pipe'] });

interface Server {
  readonly child: ChildProcess;
  readonly url: string;
  readonly port: string;
  readonly exit: ReturnType<typeof ended>;
}

async function serve(...options: readonly string[]): Promise<Server> {
  const fixed = ['--no-cached', '--threads', '1', ...(options.includes('--port') ? [] : ['--port', '0'])];
  const child = ingot('serve', model, ...fixed, ...options);
  const exit = ended(child);
  const url = await new Promise<string>((resolve, reject) => {
    let text = '';
    child.stdout?.on('data', (chunk) => {
      text += chunk;
      const found = /^listening on (\S+)$/m.exec(text)?.[1];
      if (found !== undefined) resolve(found);
    });
    void exit.then(({ err }) => reject(new Error(`the server ended before it listened: ${err}`)));
  });
  const server = { child, url, port: new URL(url).port, exit };
  started.add(server);
  return server;
}

const name = 'tiny-q4_0-r1';
const completion = (url: string, more: object) =>
  fetch(`${url}/v1/completions`, {
    method: 'POST',
    body: JSON.stringify({ model: name, prompt: 'Once', ignore_eos: true, ...more }),
  });
/** The body of a stream: `begun` resolves with its first bytes. */
function reading(response: Response) {
  let start: () => void = () => undefined;
  const begun = new Promise<void>((resolve) => {
    start = resolve;
  });
  const whole = (async () => {
    let text = '';
    const decoder = new TextDecoder();
    for await (const chunk of response.body ?? []) {
      text += decoder.decode(chunk, { stream: true });
      start();
    }
    return text;
  })();
  return { begun, whole };
}
const records = (): string[] => readdirSync(join(env.INGOT_CACHE ?? '', 'servers'));

test('a server says where it listens, asks for its key, answers, and is listed and stopped without one', async () => {
  const server = await serve('--api-key', 'secret-key');
  expect(await (await fetch(`${server.url}/health`)).json()).toMatchObject({ status: 'ok' });
  const client = (apiKey: string) => new OpenAI({ baseURL: `${server.url}/v1`, apiKey, maxRetries: 0 });
  await expect(client('secret-kez').models.list()).rejects.toBeInstanceOf(OpenAI.AuthenticationError);
  const answer = await client('secret-key').chat.completions.create({
    model: name,
    messages: [{ role: 'user', content: 'Hi' }],
    max_tokens: 5,
    temperature: 0, // its most likely tokens are words; a drawn one may be the end
  });
  expect(answer.usage?.completion_tokens).toBeGreaterThan(0);

  const { code, out } = await ended(ingot('ps'));
  expect(code).toBe(0);
  expect(out).toMatch(new RegExp(`${server.url} +${server.child.pid} +${name} .* 8192 +stays`));
  const json = JSON.parse((await ended(ingot('ps', '--json'))).out);
  expect(json.servers).toMatchObject([
    { url: server.url, pid: server.child.pid, models: [{ name, context_length: 8192 }] },
  ]);
  expect(await ended(ingot('stop', name))).toMatchObject({
    code: 0,
    out: `${name} is unloaded from ${server.url}\n`,
  });
  expect((await ended(ingot('ps'))).out).toContain('no model is loaded');

  expect(await ended(ingot('stop'))).toEqual({ code: 0, out: `${server.url} is stopped\n`, err: '' });
  const { code: end, err } = await server.exit;
  expect(end).toBe(0);
  const lines = err.split('\n').filter((line) => line.startsWith('{'));
  expect(lines.map((line) => JSON.parse(line))).toContainEqual(
    expect.objectContaining({ event: 'request', path: '/v1/chat/completions', status: 200, model: name }),
  );
  expect(err).not.toContain('secret-ke');
  await expect(fetch(`${server.url}/health`)).rejects.toThrow();
  expect((await ended(ingot('ps'))).out).toMatch(/^no server is running/);
});

test('a port that is taken is told, and the server that has it goes on', async () => {
  const server = await serve();
  const { code, out, err } = await ended(ingot('serve', model, '--no-cached', '--port', server.port));
  expect([code, out]).toEqual([1, '']);
  expect(err).toMatch(
    new RegExp(`^error: port ${server.port} of 127.0.0.1 is taken; .*--port.*ingot ps`, 'm'),
  );
  expect(err).not.toContain('bug');
  expect((await fetch(`${server.url}/health`)).status).toBe(200);
  expect(JSON.parse((await ended(ingot('ps', '--json'))).out).servers).toHaveLength(1);
});

test('ingot stop lets an answer in progress come to its end', async () => {
  const server = await serve('--grace', '60');
  const { begun, whole } = reading(await completion(server.url, { stream: true, max_tokens: 4000 }));
  await begun;
  expect(await ended(ingot('stop', '--port', server.port))).toMatchObject({ code: 0 });
  expect((await server.exit).code).toBe(0);
  const text = await whole;
  expect(text).toContain('"finish_reason":"length"');
  expect(text).toMatch(/data: \[DONE\]\n\n$/);
});

test.each(['SIGTERM', 'SIGINT'] as const)(
  '%s cuts off what does not end within the grace',
  async (signal) => {
    const server = await serve('--grace', '0.2');
    // Half a million tokens: minutes, if nobody ended it.
    const endless = { n: 64, max_tokens: 8000 };
    const { begun, whole } = reading(await completion(server.url, { ...endless, stream: true }));
    const waiting = completion(server.url, endless);
    await begun;
    await until(async () => {
      const metrics = await (await fetch(`${server.url}/metrics`)).text();
      return /^ingot_answers_active 128$/m.test(metrics);
    }, 'both are in progress');
    server.child.kill(signal);
    const { code, err } = await server.exit;
    expect(code).toBe(0);
    expect(err).toContain('"answers cut off","count":2');
    expect(err).not.toContain('Warning');
    expect(await whole).toMatch(/"message":"the server is shutting down".*\n\n$/);
    expect((await waiting).status).toBe(503);
    expect(records()).toEqual([]);
  },
);

test('what a killed server left does not confuse ps and stop', async () => {
  const killed = await serve();
  const [file = ''] = records();
  const left = readFileSync(join(env.INGOT_CACHE ?? '', 'servers', file), 'utf8');
  killed.child.kill('SIGKILL');
  expect((await killed.exit).code).toBe('SIGKILL');
  expect(records()).toHaveLength(1);
  expect(await ended(ingot('stop'))).toEqual({ code: 1, out: '', err: 'error: no server is running\n' });
  expect(records()).toEqual([]);

  // Another server at its address, and the id of its process given to one that is not ours.
  const next = await serve('--port', killed.port);
  const stale = { ...JSON.parse(left), pid: process.pid };
  writeFileSync(join(env.INGOT_CACHE ?? '', 'servers', file), JSON.stringify(stale));
  writeFileSync(join(env.INGOT_CACHE ?? '', 'servers', 'broken.json'), '{"pid":');
  const { servers } = JSON.parse((await ended(ingot('ps', '--json'))).out);
  expect(servers).toMatchObject([{ pid: next.child.pid }]);
  expect(await ended(ingot('stop'))).toMatchObject({ code: 0, out: `${next.url} is stopped\n` });
  expect((await next.exit).code).toBe(0);
  expect(await ended(ingot('ps'))).toMatchObject({ code: 0, out: expect.stringMatching(/^no server/) });
});

test('a server that is about to end is left out of ps', async () => {
  const instance = '7a0c';
  const ending = createServer((request, response) => {
    response
      .writeHead(503)
      .end(JSON.stringify(request.url === '/health' ? { instance } : { error: 'ending' }));
  }).listen(0, '127.0.0.1');
  await once(ending, 'listening');
  const url = `http://127.0.0.1:${(ending.address() as AddressInfo).port}`;
  const path = join(env.INGOT_CACHE ?? '', 'servers', 'ending.json');
  writeFileSync(path, JSON.stringify({ pid: process.pid, url, instance, key: 'k' }));
  expect(await ended(ingot('ps'))).toMatchObject({ code: 0, out: expect.stringMatching(/^no server/) });
  rmSync(path);
  ending.close();
});
