// One request from its arrival to the last byte of its answer: who it is, when it is over, what is written down about it.

import { randomUUID } from 'node:crypto';
import type { Answering } from './answering.ts';
import type { Caller } from './job.ts';
import type { Metrics } from './metrics.ts';

/** A line of the log; one per request, and one per event of the server. Never any text of a prompt or an answer. */
export interface LogRecord {
  readonly time: string;
  readonly level: 'info' | 'warn' | 'error';
  readonly event: string;
  readonly [field: string]: unknown;
}

export type Log = (record: LogRecord) => void;

/** What the protocol of a client that went away calls its status. */
export const CLIENT_GONE = 499;

export class Exchanges {
  readonly #active = new Set<Exchange>();
  readonly #metrics: Metrics;
  readonly #log: Log;

  constructor(metrics: Metrics, log: Log) {
    this.#metrics = metrics;
    this.#log = log;
  }

  get size(): number {
    return this.#active.size;
  }

  begin(request: Request, cut: () => void): Exchange {
    const exchange = new Exchange(request, cut, (status) => this.#finish(exchange, status));
    this.#active.add(exchange);
    return exchange;
  }

  /** Ends everything that is in progress. */
  abort(reason: Error): void {
    for (const exchange of this.#active) exchange.abort(reason);
  }

  note(level: LogRecord['level'], event: string, fields: object = {}): void {
    this.#log({ time: new Date().toISOString(), level, event, ...fields });
  }

  #finish(exchange: Exchange, status: number): void {
    this.#active.delete(exchange);
    const ms = performance.now() - exchange.start;
    this.#metrics.request(exchange.route, status, ms);
    const { answering } = exchange;
    this.note(status >= 500 ? 'error' : 'info', 'request', {
      id: exchange.id,
      method: exchange.method,
      path: exchange.path,
      status,
      ms: Math.round(ms),
      ...(answering ? answerFields(answering) : {}),
      ...(exchange.failure === undefined ? {} : { error: exchange.failure }),
    });
  }
}

function answerFields(answering: Answering): object {
  const { promptTokens, usage, firstTokenMs } = answering;
  return {
    model: answering.model,
    promptTokens,
    cachedTokens: usage.cachedTokens,
    generatedTokens: usage.generatedTokens,
    ...(firstTokenMs === undefined ? {} : { firstTokenMs: Math.round(firstTokenMs) }),
  };
}

export class Exchange {
  readonly id = `req_${randomUUID().replaceAll('-', '')}`;
  readonly start = performance.now();
  readonly method: string;
  readonly path: string;
  /** The pattern that matched; a name with few values, unlike the path. */
  route = 'other';
  answering: Answering | undefined;
  /** What went wrong, for the log. */
  failure: string | undefined;
  /** Cuts the client's connection. */
  readonly cut: () => void;
  /** The answer goes on after the handler has returned; whoever writes it calls `finish`. */
  streaming = false;
  readonly #controller = new AbortController();
  readonly #onFinish: (status: number) => void;
  readonly #unlisten: () => void;
  #finished = false;

  constructor(request: Request, cut: () => void, onFinish: (status: number) => void) {
    this.cut = cut;
    this.method = request.method;
    this.path = new URL(request.url).pathname;
    this.#onFinish = onFinish;
    const gone = (): void => this.abort(new DOMException('the client is gone', 'AbortError'));
    if (request.signal.aborted) gone();
    else request.signal.addEventListener('abort', gone, { once: true });
    this.#unlisten = () => request.signal.removeEventListener('abort', gone);
  }

  get signal(): AbortSignal {
    return this.#controller.signal;
  }

  caller(keepMs?: number): Caller {
    return { signal: this.signal, start: this.start, keepMs };
  }

  abort(reason: Error): void {
    this.#controller.abort(reason);
  }

  finish(status: number): void {
    if (this.#finished) return;
    this.#finished = true;
    // Node never frees a request whose signal somebody listens to (undici's registry of requests holds the signal).
    this.#unlisten();
    this.answering?.end();
    this.#onFinish(status);
  }
}
