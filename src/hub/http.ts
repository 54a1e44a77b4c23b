// Plain HTTP(S) GET with what downloads need and `fetch` does not give: a connect timeout of seconds, a stall timeout on the
// body, additional certificate authorities, credentials in the address, and a look at every redirect.

import type { IncomingHttpHeaders, IncomingMessage } from 'node:http';
import type { RequestOptions } from 'node:https';
import { type Env, env as processEnv } from '../base/env.ts';
import { IngotError } from '../base/errors.ts';
import { proxyFor, proxyHeaders, tunnel } from './proxy.ts';

export interface HttpOptions {
  readonly headers?: Readonly<Record<string, string>>;
  readonly signal?: AbortSignal | undefined;
  /** Until a connection stands, name lookup included. Default 4 s. */
  readonly connectTimeoutMs?: number;
  /** Longest silence while waiting for headers or for more of the body. Default 30 s. */
  readonly stallTimeoutMs?: number;
  /** Certificate authorities (PEM) trusted besides the usual ones. */
  readonly ca?: string | undefined;
  /** Whose proxy settings hold. Default: the process's. */
  readonly env?: Env;
}

export interface HttpResponse {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  /** Headers of the redirects on the way, first to last. */
  readonly redirects: readonly IncomingHttpHeaders[];
  /** Address of the last hop without credentials. */
  readonly url: string;
  readonly body: IncomingMessage;
}

/** A request that got no answer: which host and why. */
export class UnreachableError extends IngotError {
  override readonly name = 'UnreachableError';
  constructor(url: string, reason: string, cause?: unknown) {
    super('download_failed', `${hostOf(url)} cannot be reached: ${reason}`, {
      cause,
      details: { url: withoutLogin(url) },
    });
  }
}

/** An answer with an error status. */
export class HttpStatusError extends IngotError {
  override readonly name = 'HttpStatusError';
  readonly status: number;
  constructor(url: string, status: number) {
    const hint = status === 401 || status === 403 ? ' (not allowed: is a token or login needed?)' : '';
    super('download_failed', `${withoutLogin(url)}: HTTP ${status}${hint}`, {
      details: { status, url: withoutLogin(url) },
    });
    this.status = status;
  }
}

export const hostOf = (url: string): string => (URL.canParse(url) ? new URL(url).host : url);

/** The address as it may be shown: credentials and query left out. */
export function withoutLogin(url: string): string {
  if (!URL.canParse(url)) return url;
  const { protocol, host, pathname } = new URL(url);
  return `${protocol}//${host}${pathname}`;
}

const maxRedirects = 8;

/** Follows redirects and returns the response with its body unread. Throws UnreachableError, HttpStatusError (>= 400) or the signal's reason. */
export async function open(url: string, options: HttpOptions = {}): Promise<HttpResponse> {
  const redirects: IncomingHttpHeaders[] = [];
  const origin = addressOf(url, undefined, url);
  let current = origin;
  for (;;) {
    const response = await request(current, origin, options);
    const status = response.statusCode ?? 0;
    const location = response.headers.location;
    if (status >= 300 && status < 400 && location !== undefined) {
      response.resume();
      if (redirects.push(response.headers) > maxRedirects)
        throw new UnreachableError(url, `more than ${maxRedirects} redirects`);
      const next = addressOf(location, current, url);
      if (current.protocol === 'https:' && next.protocol !== 'https:') {
        throw new UnreachableError(url, `it redirects from https to ${next.protocol.slice(0, -1)}`);
      }
      current = next;
      continue;
    }
    if (status >= 400 || status < 200) {
      response.resume();
      throw new HttpStatusError(current.href, status);
    }
    return { status, headers: response.headers, redirects, url: withoutLogin(current.href), body: response };
  }
}

/** An address that can be asked. `start` is where the way began, for messages. */
function addressOf(address: string, from: URL | undefined, start: string): URL {
  const how = from ? 'it redirects to' : 'its address is';
  if (!URL.canParse(address, from?.href)) throw new UnreachableError(start, `${how} no address`);
  const url = new URL(address, from);
  if (url.protocol === 'https:' || url.protocol === 'http:') return url;
  throw new UnreachableError(start, `${how} ${url.protocol.slice(0, -1)}, neither https nor http`);
}

async function request(url: URL, origin: URL, options: HttpOptions): Promise<IncomingMessage> {
  options.signal?.throwIfAborted();
  const { connectTimeoutMs = 4000, stallTimeoutMs = 30_000, signal } = options;
  const secure = url.protocol === 'https:';
  const { request: start } = secure ? await import('node:https') : await import('node:http');
  const how = await connection(url, options, connectTimeoutMs);
  return new Promise((resolve, reject) => {
    const outgoing = start(url, {
      ...how,
      headers: { ...how.headers, ...headersFor(url, origin, options.headers ?? {}) },
      ...(signal ? { signal } : {}),
    });
    const fail = (reason: string) => outgoing.destroy(new UnreachableError(url.href, reason));
    const timer = setTimeout(
      () => fail(`no connection within ${connectTimeoutMs / 1000} s`),
      connectTimeoutMs,
    );
    outgoing.on('socket', (socket) => {
      if (!socket.connecting) clearTimeout(timer);
      socket.once(secure ? 'secureConnect' : 'connect', () => clearTimeout(timer));
    });
    outgoing.setTimeout(stallTimeoutMs, () => fail(`silent for ${stallTimeoutMs / 1000} s`));
    outgoing.on('response', (response) => {
      clearTimeout(timer);
      resolve(response);
    });
    outgoing.on('error', (error: NodeJS.ErrnoException) => {
      clearTimeout(timer);
      // A kept connection that the server closed just now says nothing about the server.
      if (outgoing.reusedSocket && error.code === 'ECONNRESET' && !signal?.aborted) {
        resolve(request(url, origin, options));
        return;
      }
      reject(explain(error, url.href, signal));
    });
    outgoing.end();
  });
}

/** Certificates to trust, and the way through a proxy if there is one. */
async function connection(url: URL, options: HttpOptions, timeoutMs: number): Promise<RequestOptions> {
  const proxy = proxyFor(url, options.env ?? processEnv);
  if (url.protocol !== 'https:') {
    if (!proxy) return {};
    const headers = { host: url.host, ...proxyHeaders(proxy) };
    return { hostname: proxy.hostname, port: proxy.port || 80, path: url.href, headers };
  }
  const { connect, rootCertificates } = await import('node:tls');
  const ca = options.ca === undefined ? {} : { ca: [...rootCertificates, options.ca] };
  if (!proxy) return ca;
  try {
    const socket = await tunnel(proxy, url, timeoutMs, options.signal);
    return { agent: false, createConnection: () => connect({ socket, servername: url.hostname, ...ca }) };
  } catch (error) {
    throw explain(error instanceof Error ? error : new Error(String(error)), url.href, options.signal);
  }
}

function headersFor(url: URL, origin: URL, own: Readonly<Record<string, string>>): Record<string, string> {
  const headers: Record<string, string> = { 'user-agent': 'ingot', 'accept-encoding': 'identity', ...own };
  // A token belongs to the host it was meant for, not to the storage it redirects to.
  if (url.host !== origin.host) delete headers.authorization;
  else if (url.username !== '') {
    const login = `${decodeURIComponent(url.username)}:${decodeURIComponent(url.password)}`;
    headers.authorization = `Basic ${Buffer.from(login).toString('base64')}`;
  }
  return headers;
}

const reasons: Readonly<Record<string, string>> = {
  ENOTFOUND: 'the name is not known',
  EAI_AGAIN: 'the name cannot be looked up now',
  ECONNREFUSED: 'connection refused',
  ECONNRESET: 'connection reset',
  EHOSTUNREACH: 'no route',
  ENETUNREACH: 'no network',
  ETIMEDOUT: 'connection timed out',
  SELF_SIGNED_CERT_IN_CHAIN: 'its certificate is signed by an unknown authority (set NODE_EXTRA_CA_CERTS)',
  UNABLE_TO_GET_ISSUER_CERT_LOCALLY:
    'its certificate is signed by an unknown authority (set NODE_EXTRA_CA_CERTS)',
};

function explain(error: Error, url: string, signal: AbortSignal | undefined): unknown {
  if (signal?.aborted) return signal.reason;
  if (error instanceof IngotError) return error;
  const code = (error as NodeJS.ErrnoException).code ?? '';
  return new UnreachableError(url, reasons[code] ?? (code || error.message), error);
}

/** Reads a small body as text. Throws when it is longer than `maxBytes`. */
export async function readText(response: HttpResponse, maxBytes = 32 << 20): Promise<string> {
  return (await readBytes(response, maxBytes)).toString('utf8');
}

/** Reads a small body. Throws when it is longer than `maxBytes` or ends early. */
export async function readBytes(response: HttpResponse, maxBytes: number): Promise<Buffer> {
  const chunks: Buffer[] = [];
  let size = 0;
  try {
    for await (const chunk of response.body as AsyncIterable<Buffer>) {
      size += chunk.length;
      if (size > maxBytes)
        throw new UnreachableError(response.url, `its answer is longer than ${maxBytes} bytes`);
      chunks.push(chunk);
    }
  } catch (error) {
    throw error instanceof Error ? explain(error, response.url, undefined) : error;
  }
  return Buffer.concat(chunks, size);
}
