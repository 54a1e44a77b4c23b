import { existsSync } from 'node:fs';
import { mkdtemp, readFile, rm, symlink, writeFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { readEnv } from '../base/env.ts';
import { HttpStatusError, open, readText, UnreachableError } from './http.ts';
import { startServer, type TestServer } from './test-server.ts';
import { type Transfer, transfer } from './transfer.ts';

const body = Uint8Array.from({ length: 100_000 }, (_, i) => (i * 31 + (i >> 8)) & 255);
let server: TestServer;
let folder: string;

beforeEach(async () => {
  server = await startServer();
  folder = await mkdtemp(join(tmpdir(), 'ingot-hub-'));
});
afterEach(async () => {
  await server.close();
  await rm(folder, { recursive: true, force: true });
});

const job = (changes: Partial<Transfer> = {}): Transfer => ({
  url: `${server.url}/f`,
  http: {},
  partial: join(folder, 'f.partial'),
  start: 0,
  length: body.length,
  retryDelayMs: 1,
  ...changes,
});
const received = async () => new Uint8Array(await readFile(join(folder, 'f.partial')));

describe('transfer', () => {
  test('fetches a part of a file and tells the progress', async () => {
    server.files.set('/f', { body });
    const seen: number[] = [];
    await transfer(job({ start: 1000, length: 5000, onBytes: (n) => seen.push(n) }));
    expect(await received()).toEqual(body.slice(1000, 6000));
    expect(seen.at(-1)).toBe(5000);
    expect(server.requests[0]?.range).toBe('bytes=1000-5999');
  });

  test('goes on where an earlier run stopped', async () => {
    server.files.set('/f', { body });
    await writeFile(join(folder, 'f.partial'), body.slice(0, 70_000));
    await transfer(job());
    expect(await received()).toEqual(body);
    expect(server.requests.map(({ range }) => range)).toEqual(['bytes=70000-99999']);
  });

  test('goes on at once after cut connections', async () => {
    server.files.set('/f', { body, cutAfter: [30_000, 30_000] });
    await transfer(job());
    expect(await received()).toEqual(body);
    expect(server.requests.map(({ range }) => range)).toEqual([
      'bytes=0-99999',
      'bytes=30000-99999',
      'bytes=60000-99999',
    ]);
  });

  test('a silent server is a broken connection', async () => {
    server.files.set('/f', { body, stallAfter: [50_000] });
    await transfer(job({ http: { stallTimeoutMs: 100 } }));
    expect(await received()).toEqual(body);
    expect(server.requests).toHaveLength(2);
  });

  test('gives up after attempts without a new byte, keeping what came', async () => {
    server.files.set('/f', { body, cutAfter: [10_000, 0, 0, 0, 0, 0] });
    await expect(transfer(job({ attempts: 3 }))).rejects.toThrow(
      /stopped at 10000 of 100000 bytes: .*run the command again/,
    );
    expect((await received()).length).toBe(10_000);
    expect(server.requests).toHaveLength(4);
  });

  test('leaves a source that never gave a byte at once', async () => {
    server.files.set('/f', { body, cutAfter: [0, 0, 0] });
    await expect(transfer(job())).rejects.toThrow(UnreachableError);
    expect(server.requests).toHaveLength(1);
  });

  test('starts anew when the file changed or parts are not served', async () => {
    await writeFile(join(folder, 'f.partial'), new Uint8Array(5000));
    server.files.set('/f', { body, etag: 'new' });
    await transfer(job({ etag: 'old' }));
    expect(await received()).toEqual(body);
    await writeFile(join(folder, 'f.partial'), new Uint8Array(5000));
    server.files.set('/f', { body, noRanges: true });
    await transfer(job());
    expect(await received()).toEqual(body);
    await expect(transfer(job({ start: 10, length: 10, partial: join(folder, 'g') }))).rejects.toThrow(
      /does not serve parts/,
    );
  });

  test('an empty file needs no request', async () => {
    await transfer(job({ length: 0 }));
    expect(await received()).toHaveLength(0);
    expect(server.requests).toEqual([]);
  });

  test('a partial file that is too long is not trusted', async () => {
    server.files.set('/f', { body });
    await writeFile(join(folder, 'f.partial'), new Uint8Array(200_000));
    await transfer(job());
    expect(await received()).toEqual(body);
  });

  test('stops with the reason of the signal', async () => {
    server.files.set('/f', { body, stallAfter: [1000] });
    const controller = new AbortController();
    const reason = new Error('enough');
    const done = transfer(job({ signal: controller.signal, onBytes: () => controller.abort(reason) }));
    await expect(done).rejects.toBe(reason);
  });

  test.skipIf(!existsSync('/dev/full'))('a full disk is told, and the partial file is gone', async () => {
    server.files.set('/f', { body });
    await symlink('/dev/full', join(folder, 'f.partial'));
    await expect(transfer(job())).rejects.toMatchObject({ code: 'disk_full', message: /disk is full/ });
    expect(existsSync(join(folder, 'f.partial'))).toBe(false);
  });

  test('an error status is told at once; a busy server is asked again', async () => {
    await expect(transfer(job())).rejects.toMatchObject({ status: 404 });
    expect(server.requests).toHaveLength(1);
    server.files.set('/f', { body: '', status: 503 });
    await expect(transfer(job({ attempts: 2 }))).rejects.toThrow(/HTTP 503/);
    expect(server.requests).toHaveLength(3);
  });
});

describe('open', () => {
  test('a refused connection and an unknown name say so', async () => {
    const { url } = server;
    await server.close();
    await expect(open(url)).rejects.toThrow(/127\.0\.0\.1:\d+ cannot be reached: connection refused/);
    await expect(open('http://no-such-host.invalid/')).rejects.toThrow(
      /no-such-host\.invalid cannot be reached/,
    );
    server = await startServer();
  });

  test('a server that accepts and says nothing is left after the stall timeout', async () => {
    const silent = createServer((socket) => socket.resume());
    await new Promise<void>((resolve) => silent.listen(0, '127.0.0.1', resolve));
    const { port } = silent.address() as { port: number };
    await expect(open(`http://127.0.0.1:${port}/`, { stallTimeoutMs: 50 })).rejects.toThrow(
      /silent for 0\.05 s/,
    );
    await new Promise((resolve) => silent.close(resolve));
  });

  test('a server that never completes the handshake is left after the connect timeout', async () => {
    const silent = createServer((socket) => socket.resume());
    await new Promise<void>((resolve) => silent.listen(0, '127.0.0.1', resolve));
    const { port } = silent.address() as { port: number };
    const started = open(`https://127.0.0.1:${port}/`, { connectTimeoutMs: 50 });
    await expect(started).rejects.toThrow(/no connection within 0\.05 s/);
    await new Promise((resolve) => silent.close(resolve));
  });

  test('goes through the proxies of the environment', async () => {
    // A plain request reaches a proxy as the whole address, a TLS one as a wish for a tunnel.
    const proxy = `http://me:pw@${server.url.slice('http://'.length)}`;
    const env = readEnv({ HTTP_PROXY: proxy, HTTPS_PROXY: proxy, NO_PROXY: '.inside.example' });
    server.files.set('http://files.example/a', { body: 'from afar' });
    expect(await readText(await open('http://files.example/a', { env }))).toBe('from afar');
    await expect(open('https://files.example/a', { env })).rejects.toThrow(
      /files\.example cannot be reached/,
    );
    await expect(open('http://x.inside.example/a', { env })).rejects.toThrow(/cannot be reached/);
    expect(server.requests).toHaveLength(1);
  });

  test('follows redirects, and a token does not follow to another host', async () => {
    const other = await startServer();
    other.files.set('/b', { body: 'hello' });
    server.files.set('/a', { body: '', status: 302, headers: { location: `${other.url}/b`, 'x-note': '1' } });
    const response = await open(`${server.url}/a`, { headers: { authorization: 'Bearer secret' } });
    expect(await readText(response)).toBe('hello');
    expect(response.redirects[0]?.['x-note']).toBe('1');
    expect(server.requests[0]?.authorization).toBe('Bearer secret');
    expect(other.requests[0]?.authorization).toBeUndefined();
    await other.close();
  });

  test('credentials of an address are sent and never shown', async () => {
    const url = `${server.url.replace('http://', 'http://user:p%40ss@')}/x`;
    const error = await open(url).catch((e: unknown) => e);
    expect(error).toBeInstanceOf(HttpStatusError);
    expect(String(error)).not.toContain('p%40ss');
    expect(server.requests[0]?.authorization).toBe(`Basic ${Buffer.from('user:p@ss').toString('base64')}`);
  });

  test.each([
    ['ftp://files.example/b', /redirects to ftp, neither https nor http/],
    ['file:///etc/passwd', /redirects to file/],
    ['http://[', /redirects to no address/],
  ])('a redirect to %s is refused', async (location, message) => {
    server.files.set('/a', { body: '', status: 302, headers: { location } });
    await expect(open(`${server.url}/a`)).rejects.toThrow(message);
    await expect(open(location)).rejects.toBeInstanceOf(UnreachableError);
  });

  test('a circle of redirects ends', async () => {
    server.files.set('/a', { body: '', status: 302, headers: { location: '/a' } });
    await expect(open(`${server.url}/a`)).rejects.toThrow(/more than 8 redirects/);
  });

  test('an answer longer than allowed is refused', async () => {
    server.files.set('/big', { body });
    await expect(readText(await open(`${server.url}/big`), 1000)).rejects.toThrow(/longer than 1000 bytes/);
  });
});
