// HTTP proxies as the environment names them (HTTPS_PROXY, HTTP_PROXY, NO_PROXY), for requests made with Node's own client.

import type { Socket } from 'node:net';
import type { Env } from '../base/env.ts';

/** The proxy for `url`, or undefined for a direct connection. */
export function proxyFor(url: URL, env: Env): URL | undefined {
  const proxy = url.protocol === 'https:' ? env.httpsProxy : env.httpProxy;
  if (proxy === undefined || isExempt(url, env.noProxy)) return undefined;
  const address = proxy.includes('://') ? proxy : `http://${proxy}`;
  return URL.canParse(address) && address.startsWith('http://') ? new URL(address) : undefined;
}

const loopback = new Set(['localhost', '127.0.0.1', '[::1]']);

/** This machine itself, and NO_PROXY: `*`, host names, `.domain` for everything below it, each with an optional port. */
function isExempt(url: URL, exempt: readonly string[]): boolean {
  const port = url.port || (url.protocol === 'https:' ? '443' : '80');
  if (loopback.has(url.hostname)) return true;
  return exempt.some((entry) => {
    const [, name = '', wanted] = /^(.*?)(?::(\d+))?$/.exec(entry.toLowerCase()) ?? [];
    if (wanted !== undefined && wanted !== port) return false;
    const domain = name.replace(/^\*?\./, '');
    return name === '*' || url.hostname === domain || (domain !== '' && url.hostname.endsWith(`.${domain}`));
  });
}

/** Headers that log in at a proxy whose address carries credentials. */
export const proxyHeaders = (proxy: URL): Record<string, string> =>
  proxy.username === ''
    ? {}
    : {
        'proxy-authorization': `Basic ${Buffer.from(
          `${decodeURIComponent(proxy.username)}:${decodeURIComponent(proxy.password)}`,
        ).toString('base64')}`,
      };

/** A connection through `proxy` to the host of `url`, for TLS on top. Rejects when the proxy refuses. */
export async function tunnel(proxy: URL, url: URL, timeoutMs: number, signal?: AbortSignal): Promise<Socket> {
  const { request } = await import('node:http');
  const target = `${url.hostname}:${url.port || 443}`;
  return new Promise((resolve, reject) => {
    const connect = request({
      host: proxy.hostname,
      port: proxy.port || 80,
      method: 'CONNECT',
      path: target,
      headers: { host: target, ...proxyHeaders(proxy) },
      agent: false,
      timeout: timeoutMs,
      ...(signal ? { signal } : {}),
    });
    connect.on('connect', (response, socket) => {
      if (response.statusCode === 200) return resolve(socket);
      socket.destroy();
      reject(new Error(`the proxy ${proxy.host} answered ${response.statusCode}`));
    });
    connect.on('timeout', () => connect.destroy(new Error(`the proxy ${proxy.host} does not answer`)));
    connect.on('error', reject);
    connect.end();
  });
}
