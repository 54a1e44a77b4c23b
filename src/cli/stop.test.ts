// `ingot stop` ends what was named, and never more.

import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { PassThrough } from 'node:stream';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { readEnv } from '../base/env.ts';
import { realEngine } from './engine.ts';
import { runCli } from './run-cli.ts';
import { recordServer } from './servers.ts';

let folder: string;
let servers: { readonly child: ChildProcess; readonly http: Server; readonly port: number }[];
const environment = () => readEnv({ HOME: folder, INGOT_CACHE: join(folder, 'cache') });

/** A process that can be stopped, behind an address that answers for it. */
async function serve(instance: string) {
  const child = spawn(process.execPath, ['-e', 'setInterval(() => {}, 1000)'], { stdio: 'ignore' });
  await once(child, 'spawn');
  const http = createServer((_, response) => response.end(JSON.stringify({ instance }))).listen(
    0,
    '127.0.0.1',
  );
  await once(http, 'listening');
  const { port } = http.address() as AddressInfo;
  await recordServer(environment(), {
    pid: child.pid ?? 0,
    url: `http://127.0.0.1:${port}`,
    instance,
    key: 'k',
  });
  return { child, http, port };
}

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'ingot-stop-'));
  servers = [await serve('one'), await serve('two')];
  process.exitCode = undefined;
});
afterEach(async () => {
  for (const { child, http } of servers) {
    child.kill('SIGKILL');
    http.close();
  }
  process.exitCode = undefined;
  await rm(folder, { recursive: true, force: true });
});

async function stop(...args: string[]) {
  const written = { out: '', err: '' };
  const output = (key: 'out' | 'err') => ({
    write: (text: string) => {
      written[key] += text;
    },
    isTTY: false,
    columns: 80,
  });
  await runCli(['stop', ...args], {
    stdout: output('out'),
    stderr: output('err'),
    stdin: new PassThrough().end(),
    env: environment(),
    signal: new AbortController().signal,
    version: '1.2.3',
    engine: realEngine,
  });
  return written;
}

const alive = () => servers.map(({ child }) => child.exitCode === null && child.signalCode === null);

test('without a name it ends none of several, and lists them', async () => {
  const { err } = await stop();
  expect(err).toMatch(/2 servers are running; say which with --port, or --all/);
  for (const { port } of servers) expect(err).toContain(`http://127.0.0.1:${port}`);
  expect(alive()).toEqual([true, true]);
});

test('a port ends one, and then there is only one to mean', async () => {
  const [first, second] = servers;
  await stop('--port', String(first?.port));
  expect(alive()).toEqual([false, true]);
  first?.http.close();
  first?.http.closeAllConnections();
  expect((await stop()).out).toContain(`:${second?.port} is stopped`);
  expect(alive()).toEqual([false, false]);
});

test('--all ends all', async () => {
  await stop('--all');
  expect(alive()).toEqual([false, false]);
});
