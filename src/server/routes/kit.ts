// What the routes of all protocols share: the body, the answer as one document or as a stream, errors in the middle of one.

import type { Context } from 'hono';
import type { Answering } from '../answering.ts';
import { readJson } from '../body.ts';
import type { Exchange } from '../exchange.ts';
import type { AnswerHead, ChoicePart } from '../job.ts';
import type { Library } from '../library.ts';
import type { Limits } from '../limits.ts';
import type { ModelPool } from '../pool.ts';
import { type Problem, problemOf } from '../problem.ts';
import type { Service } from '../service.ts';
import { streamResponse } from '../stream.ts';

export interface Env {
  /** The Node adapter hands in what it writes to. */
  Bindings: { readonly outgoing?: { destroy(): void } };
  Variables: { exchange: Exchange };
}

export type Ctx = Context<Env>;

export interface Kit {
  readonly service: Service;
  readonly library: Library;
  readonly pool: ModelPool;
  readonly limits: Limits;
  readonly version: string;
  /** Tells the log of an error that is no fault of the client. */
  readonly report: (exchange: Exchange, error: unknown) => void;
}

export const bodyOf = (kit: Kit, c: Ctx): Promise<Record<string, unknown>> => readJson(c.req.raw, kit.limits);

export const headOf = (
  kit: Kit,
  prefix: string,
  c: Ctx,
  answering: Answering,
  asked: string | undefined,
): AnswerHead => ({
  id: `${prefix}${c.var.exchange.id.slice('req_'.length)}`,
  model: asked ?? answering.model,
  created: Math.floor(Date.now() / 1000),
  promptTokens: answering.promptTokens,
  fingerprint: `fp_ingot_${kit.version}`,
});

/** Handlers under their path with and without `/v1`: some clients add it to the address they are given, and some do not. */
export const versioned = (path: string): string[] => [`/v1${path}`, path];

/** Tells how many of a conversation's oldest messages were left out; APIs have no field for it. */
export const DROPPED = 'x-ingot-dropped-messages';

export interface StreamForm {
  readonly contentType: string;
  readonly heartbeat?: string | undefined;
  /** Text that begins the stream. */
  begin?(): string;
  /** Text of the next part; may be empty. */
  push(part: ChoicePart): string;
  /** Text that ends a stream that went well. */
  end?(): string;
  /** Text that ends a stream that did not. */
  fail(problem: Problem): string;
}

/** The answer as a stream, or as the document that `whole` makes of all parts. */
export async function answerWith(
  kit: Kit,
  c: Ctx,
  answering: Answering,
  stream: StreamForm | undefined,
  whole: (parts: readonly ChoicePart[]) => unknown,
): Promise<Response> {
  const { exchange } = c.var;
  exchange.answering = answering;
  if (stream) return streamPieces(kit, exchange, stream, pieces(kit, exchange, answering, stream));
  const parts: ChoicePart[] = [];
  for await (const part of answering.parts()) parts.push(part);
  return Response.json(whole(parts));
}

/** A streamed response that the exchange lasts as long as. */
export function streamPieces(
  { limits }: Kit,
  exchange: Exchange,
  { contentType, heartbeat }: Pick<StreamForm, 'contentType' | 'heartbeat'>,
  texts: AsyncIterator<string>,
): Response {
  exchange.streaming = true;
  return streamResponse(texts, {
    contentType,
    heartbeat,
    heartbeatMs: limits.heartbeatMs,
    stallMs: limits.stallMs,
    cut: () => exchange.cut(),
    onEnd: (early) => {
      if (early) exchange.abort(new DOMException('the client is gone', 'AbortError'));
      exchange.finish(early ? 499 : 200);
    },
  });
}

async function* pieces(
  kit: Kit,
  exchange: Exchange,
  answering: Answering,
  form: StreamForm,
): AsyncGenerator<string, void, void> {
  try {
    if (form.begin) yield form.begin();
    for await (const part of answering.parts()) {
      const text = form.push(part);
      if (text !== '') yield text;
    }
    if (form.end) yield form.end();
  } catch (error) {
    kit.report(exchange, error);
    yield form.fail(problemOf(exchange.signal.aborted ? exchange.signal.reason : error));
  }
}
