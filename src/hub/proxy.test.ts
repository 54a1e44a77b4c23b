import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { expect, test } from 'vitest';
import { readEnv } from '../base/env.ts';
import { proxyFor, tunnel } from './proxy.ts';

const pick = (url: string, source: Record<string, string>) => proxyFor(new URL(url), readEnv(source))?.href;

test('the proxy of the protocol, unless the host is exempt', () => {
  const both = { HTTP_PROXY: 'http://plain:3128', https_proxy: 'secure:8080' };
  expect(pick('http://a.example/', both)).toBe('http://plain:3128/');
  expect(pick('https://a.example/', both)).toBe('http://secure:8080/');
  expect(pick('https://a.example/', { HTTP_PROXY: 'http://plain' })).toBeUndefined();
  for (const url of ['http://localhost/', 'https://127.0.0.1:99/', 'http://[::1]/'])
    expect(pick(url, both)).toBeUndefined();
  const exempt = (no: string) => pick('https://cdn.a.example/', { ...both, NO_PROXY: no }) === undefined;
  expect(
    ['*', 'a.example', '.a.example', '*.a.example', 'x, cdn.a.example', 'a.example:443'].map(exempt),
  ).toEqual(Array(6).fill(true));
  expect(['example.a', 'dn.a.example', 'a.example:80', '.', ''].map(exempt)).toEqual(Array(5).fill(false));
});

test('a tunnel asks for the host with the login of the proxy, and a refusal is told', async () => {
  const seen: unknown[] = [];
  let status = '200 OK';
  const proxy = createServer().on('connect', (request, socket) => {
    seen.push(request.url, request.headers['proxy-authorization']);
    socket.end(`HTTP/1.1 ${status}\\r\\n\\r\\nhello`.replaceAll('\\r\\n', '\r\n'));
  });
  await new Promise<void>((resolve) => proxy.listen(0, '127.0.0.1', resolve));
  const address = new URL(`http://me:p%40w@127.0.0.1:${(proxy.address() as AddressInfo).port}`);
  const socket = await tunnel(address, new URL('https://files.example/x'), 1000);
  socket.destroy();
  expect(seen).toEqual(['files.example:443', `Basic ${Buffer.from('me:p@w').toString('base64')}`]);
  status = '407 Login';
  await expect(tunnel(address, new URL('https://files.example:8443/'), 1000)).rejects.toThrow(/answered 407/);
  expect(seen[2]).toBe('files.example:8443');
  await new Promise((resolve) => proxy.close(resolve));
});
