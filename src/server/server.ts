// A running server: the application on a socket, with time limits on everything a client does, and an end in bounded time.

import { randomUUID } from 'node:crypto';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { getRequestListener } from '@hono/node-server';
import { IngotError } from '../base/errors.ts';
import type { Load } from '../engine/types.ts';
import { Admission } from './admission.ts';
import { createApp } from './app.ts';
import { Exchanges, type Log } from './exchange.ts';
import { ApiKeys } from './guard.ts';
import { Library, type LibraryOptions } from './library.ts';
import { defaultLimits, type Limits } from './limits.ts';
import { Metrics } from './metrics.ts';
import { readPage } from './page.ts';
import { ModelPool } from './pool.ts';
import { RequestError } from './problem.ts';
import { Service } from './service.ts';

export interface ServerOptions extends LibraryOptions {
  readonly load: Load;
  /** Default 127.0.0.1: reachable from this machine only. */
  readonly host?: string | undefined;
  /** Default 8080; 0 takes a free one. */
  readonly port?: number | undefined;
  /** Any of these is accepted; none asks for no key. */
  readonly apiKeys?: readonly string[] | undefined;
  /** Origins whose pages may call; default none. */
  readonly cors?: readonly string[] | undefined;
  /** Names, besides this machine's own, that `Host` may have while listening on it only. */
  readonly allowHosts?: readonly string[] | undefined;
  readonly limits?: Partial<Limits> | undefined;
  readonly memoryLimit?: number | undefined;
  /** Default 3. */
  readonly maxModels?: number | undefined;
  /** Milliseconds; default five minutes. */
  readonly idleMs?: number | undefined;
  /** Folder of the chat page. */
  readonly pageFolder?: string | undefined;
  readonly version?: string | undefined;
  readonly log?: Log | undefined;
}

/** The server without a socket, to be mounted wherever Requests come from. */
export interface ServerApp {
  readonly fetch: (request: Request) => Response | Promise<Response>;
  readonly instance: string;
  /** Loads a model before the first request asks for it. */
  preload(name: string, signal?: AbortSignal): Promise<void>;
  /** Frees the models, once nothing runs on them. Requests are refused from here on. */
  close(): Promise<void>;
}

export interface RunningServer extends Omit<ServerApp, 'fetch' | 'close'> {
  readonly url: string;
  readonly host: string;
  readonly port: number;
  /** Takes no more requests, gives those in progress `graceMs` (default 10 s), ends the others, frees the models. */
  close(graceMs?: number): Promise<void>;
}

interface Assembly extends ServerApp {
  readonly exchanges: Exchanges;
  /** Refuses new requests. */
  drain(): void;
}

async function assemble(options: ServerOptions, limits: Limits): Promise<Assembly> {
  const { host = '127.0.0.1', version = '0.0.0', log = () => {} } = options;
  const instance = randomUUID();
  const library = new Library(options);
  const admission = new Admission(limits.requests);
  const metrics: Metrics = new Metrics({ active: () => admission.active, models: () => gaugesOf(pool) });
  const exchanges = new Exchanges(metrics, log);
  const pool = new ModelPool({
    load: options.load,
    memoryLimit: options.memoryLimit,
    maxModels: options.maxModels ?? 3,
    idleMs: options.idleMs ?? 300_000,
    bytesOf: (model) => model.info.weightBytes + model.status().kvBytes,
    onLoad: (name, model, ms) => {
      metrics.loaded(name, ms);
      // What it may grow to is said before it does.
      const { weightBytes, prefixBytes, contextLength } = model.info;
      const { kvBytes } = model.status();
      const sizes = { contextLength, weightBytes, kvBytes, prefixBytes };
      exchanges.note('info', 'model loaded', { model: name, ms: Math.round(ms), ...sizes });
    },
    onUnload: (model, why) => {
      metrics.unloaded(model, why);
      exchanges.note('info', 'model let go', { model, why });
    },
  });
  const service = new Service({ library, pool, admission, metrics });
  let draining = false;
  const app = createApp({
    service,
    library,
    pool,
    limits,
    version,
    exchanges,
    metrics,
    instance,
    keys: new ApiKeys(options.apiKeys ?? []),
    origins: { origins: options.cors ?? [], loopback: isLoopback(host), hosts: options.allowHosts ?? [] },
    draining: () => draining,
    page: options.pageFolder === undefined ? undefined : await readPage(options.pageFolder),
  });
  const unwatch = metrics.watchProcess();
  const drain = (): void => {
    draining = true;
  };
  return {
    fetch: app.fetch,
    instance,
    exchanges,
    drain,
    preload: async (name, signal) => {
      const lease = await pool.acquire(await library.find(name), signal);
      lease.release();
    },
    close: async () => {
      drain();
      unwatch();
      await pool.close();
    },
  };
}

/** The APIs and the chat page as a function from Request to Response. `host` says where it will be reached. */
export async function createServerApp(options: Omit<ServerOptions, 'port'>): Promise<ServerApp> {
  const { fetch, instance, preload, close } = await assemble(options, {
    ...defaultLimits,
    ...options.limits,
  });
  return { fetch, instance, preload, close };
}

/** Starts a server. Throws IngotError when it cannot listen there. */
export async function startServer(options: ServerOptions): Promise<RunningServer> {
  const { host = '127.0.0.1', port = 8080 } = options;
  const limits: Limits = { ...defaultLimits, ...options.limits };
  const app = await assemble(options, limits);
  const server = await listen(app.fetch, host, port, limits).catch(async (error) => {
    await app.close();
    throw error;
  });
  const address = server.address() as AddressInfo;
  return {
    host,
    port: address.port,
    instance: app.instance,
    url: `http://${host.includes(':') ? `[${host}]` : host}:${address.port}`,
    preload: app.preload,
    close: async (graceMs = 10_000) => {
      app.drain();
      await drain(server, app.exchanges, graceMs);
      await app.close();
    },
  };
}

const gaugesOf = (pool: ModelPool) =>
  pool.list().map(({ name, model, bytes }) => {
    const { prefix, experts, kvTier, ...status } = model.status();
    return {
      name,
      bytes,
      ...status,
      prefixHits: prefix.hits,
      prefixHitTokens: prefix.hitTokens,
      prefixBytes: prefix.bytes,
      expertRequests: experts?.requests ?? 0,
      expertHits: experts?.hits ?? 0,
      expertBytesRead: experts?.bytesRead ?? 0,
      expertChoices: experts?.choices ?? 0,
      expertSwapped: experts?.swapped ?? 0,
      expertDropped: experts?.dropped ?? 0,
      expertCeiling: experts?.last?.ceiling ?? 0,
      expertShareOfCeiling: experts?.last?.reached ?? 0,
      kvBytesSpilled: kvTier?.bytesWritten ?? 0,
      kvBytesReadBack: kvTier?.bytesRead ?? 0,
    };
  });

const isLoopback = (host: string): boolean =>
  host === 'localhost' || host === '::1' || host.startsWith('127.');

async function listen(
  fetch: (request: Request) => Response | Promise<Response>,
  host: string,
  port: number,
  limits: Limits,
): Promise<Server> {
  const server = createServer(
    {
      headersTimeout: limits.headersMs,
      requestTimeout: limits.requestMs,
      keepAliveTimeout: limits.keepAliveMs,
      connectionsCheckingInterval: Math.min(1000, limits.headersMs),
    },
    getRequestListener(fetch, { overrideGlobalObjects: false, hostname: host }),
  );
  server.maxConnections = limits.connections;
  await new Promise<void>((resolve, reject) => {
    server.once('error', (cause: NodeJS.ErrnoException) => reject(cannotListen(host, port, cause)));
    server.listen(port, host, resolve);
  });
  return server;
}

const cannotListen = (host: string, port: number, cause: NodeJS.ErrnoException): IngotError =>
  new IngotError(
    'invalid_argument',
    cause.code === 'EADDRINUSE'
      ? `port ${port} of ${host} is taken; choose another with --port, or stop the other server ("ingot ps" lists Ingot's)`
      : `cannot listen on ${host} port ${port}: ${cause.message}`,
    { cause, details: { host, port } },
  );

/** Milliseconds that answers have to say that they were cut off, once they were. */
const LAST_WORDS = 1000;

async function drain(server: Server, exchanges: Exchanges, graceMs: number): Promise<void> {
  const closed = new Promise<void>((resolve) => server.close(() => resolve()));
  const idle = async (ms: number): Promise<void> => {
    for (const end = performance.now() + ms; exchanges.size > 0 && performance.now() < end; ) await sleep(20);
  };
  server.closeIdleConnections();
  await idle(graceMs);
  if (exchanges.size > 0) {
    exchanges.note('warn', 'answers cut off', { count: exchanges.size });
    exchanges.abort(new RequestError('overloaded', 'the server is shutting down'));
    await idle(LAST_WORDS);
  }
  server.closeIdleConnections();
  server.closeAllConnections();
  await closed;
}
