// The application: a web-standard function from Request to Response, without a socket.

import { Hono } from 'hono';
import { matchedRoutes } from 'hono/route';
import { CLIENT_GONE, type Exchange, type Exchanges } from './exchange.ts';
import { type ApiKeys, checkOrigin, corsHeaders, type OriginRules } from './guard.ts';
import type { Metrics } from './metrics.ts';
import type { Page } from './page.ts';
import { type Problem, problemOf, RequestError } from './problem.ts';
import { anthropicError } from './protocol/anthropic/errors.ts';
import { openaiError } from './protocol/openai/errors.ts';
import { anthropicRoutes } from './routes/anthropic.ts';
import { type Ctx, DROPPED, type Env, type Kit } from './routes/kit.ts';
import { ollamaRoutes } from './routes/ollama.ts';
import { openaiRoutes } from './routes/openai.ts';

export interface AppParts extends Omit<Kit, 'report'> {
  readonly exchanges: Exchanges;
  readonly metrics: Metrics;
  readonly keys: ApiKeys;
  readonly origins: OriginRules;
  /** Tells this server from an earlier one at the same address. */
  readonly instance: string;
  readonly draining: () => boolean;
  readonly page: Page | undefined;
}

export function createApp(parts: AppParts): Hono<Env> {
  const app = new Hono<Env>();
  const { exchanges, page } = parts;
  const report = (exchange: Exchange, error: unknown): void => {
    exchange.failure = error instanceof Error ? error.message : String(error);
    if (problemOf(error).kind !== 'internal' || exchange.signal.aborted) return;
    exchanges.note('error', 'failure', {
      id: exchange.id,
      stack: error instanceof Error ? error.stack : String(error),
    });
  };
  app.use(async (c, next) => {
    const exchange = exchanges.begin(c.req.raw, () => c.env.outgoing?.destroy());
    c.set('exchange', exchange);
    await next();
    const status = exchange.signal.aborted && c.res.status >= 400 ? CLIENT_GONE : c.res.status;
    for (const [name, value] of Object.entries(headersOf(c, parts))) c.res.headers.set(name, value);
    const { dropped = 0 } = exchange.answering ?? {};
    if (dropped > 0) c.res.headers.set(DROPPED, String(dropped));
    if (!exchange.streaming) exchange.finish(status);
  });
  app.use(async (c, next) => admit(c, parts) ?? (await next()));
  const kit: Kit = { ...parts, report };
  openaiRoutes(app, kit);
  anthropicRoutes(app, kit);
  ollamaRoutes(app, kit);
  app.get('/health', (c) =>
    c.json(
      { status: parts.draining() ? 'stopping' : 'ok', version: parts.version, instance: parts.instance },
      parts.draining() ? 503 : 200,
    ),
  );
  app.get('/metrics', async (c) => {
    const { body, contentType } = await parts.metrics.text();
    return c.body(body, 200, { 'content-type': contentType });
  });
  if (page) app.get('*', async (c, next) => (await page(c.req.path)) ?? next());
  app.notFound((c) =>
    errorResponse(
      c,
      problemOf(new RequestError('not_found', `there is no ${c.req.method} ${c.req.path} here`)),
    ),
  );
  app.onError((error, c) => {
    const { exchange } = c.var;
    report(exchange, error);
    return errorResponse(c, problemOf(exchange.signal.aborted ? exchange.signal.reason : error));
  });
  return app;
}

/** Checks who asks. Undefined lets the request through; throws RequestError otherwise. */
function admit(c: Ctx, parts: AppParts): Response | undefined {
  c.var.exchange.route = routeOf(c);
  checkOrigin(c.req.raw, parts.origins);
  if (c.req.method === 'OPTIONS') return c.body(null, 204);
  if (isOpen(c)) return undefined;
  parts.keys.check(c.req.raw.headers);
  if (parts.draining())
    throw new RequestError('overloaded', 'the server is shutting down', { retryAfter: 5 });
  return undefined;
}

/** The pattern that will answer: a label with few values. */
const routeOf = (c: Ctx): string =>
  matchedRoutes(c).findLast(({ method, path }) => method !== 'ALL' && path !== '/*')?.path ?? 'other';

/** What needs no key: the sign of life, and the files of the page. */
const isOpen = (c: Ctx): boolean =>
  c.req.path === '/health' || (c.var.exchange.route === 'other' && ['GET', 'HEAD'].includes(c.req.method));

const headersOf = (c: Ctx, { origins }: AppParts): Record<string, string> => ({
  'x-request-id': c.var.exchange.id,
  'request-id': c.var.exchange.id,
  'x-content-type-options': 'nosniff',
  ...corsHeaders(c.req.header('origin') ?? null, origins),
});

/** An error in the words of the API that was asked. */
function errorResponse(c: Ctx, problem: Problem): Response {
  const { path } = c.req;
  const body = path.startsWith('/api/')
    ? { error: problem.message }
    : /^(\/v1)?\/messages/.test(path)
      ? anthropicError(problem, c.var.exchange.id)
      : openaiError(problem);
  const headers: Record<string, string> =
    problem.retryAfter === undefined ? {} : { 'retry-after': String(problem.retryAfter) };
  return Response.json(body, { status: problem.status, headers });
}
