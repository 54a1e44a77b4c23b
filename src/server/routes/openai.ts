// Routes of the OpenAI API.

import type { Hono } from 'hono';
import type { ChoicePart } from '../job.ts';
import type { LibraryModel } from '../library.ts';
import type { Problem } from '../problem.ts';
import { ChatChunks, chatResponse, parseChat } from '../protocol/openai/chat.ts';
import { CompletionChunks, completionResponse, parseCompletion } from '../protocol/openai/completions.ts';
import { embeddingText, parseEmbedding } from '../protocol/openai/embeddings.ts';
import { openaiError } from '../protocol/openai/errors.ts';
import { type ListedModel, modelBody, modelListBody } from '../protocol/openai/models.ts';
import { type ResponseEvent, ResponseEvents, responseBody } from '../protocol/openai/responses.ts';
import { parseResponse } from '../protocol/openai/responses-request.ts';
import { SSE, SSE_COMMENT, sse } from '../stream.ts';
import {
  answerWith,
  bodyOf,
  type Ctx,
  type Env,
  headOf,
  type Kit,
  type StreamForm,
  streamPieces,
  versioned,
} from './kit.ts';

export function openaiRoutes(app: Hono<Env>, kit: Kit): void {
  app.on('POST', versioned('/chat/completions'), (c) => chat(kit, c));
  app.on('POST', versioned('/completions'), (c) => completions(kit, c));
  app.on('POST', versioned('/responses'), (c) => responses(kit, c));
  app.on('POST', versioned('/embeddings'), (c) => embeddings(kit, c));
  app.on('GET', versioned('/models'), async (c) =>
    c.json(modelListBody(await listed(kit, await kit.library.list()))),
  );
  app.on('GET', versioned('/models/:name{.+}'), async (c) => {
    const models = await listed(kit, [await kit.library.find(c.req.param('name'))]);
    return c.json(models.map(modelBody)[0] ?? {});
  });
}

interface Chunks {
  push(part: ChoicePart): object[];
  end(): object[];
}

/** A stream of `data:` chunks that [DONE] ends. */
const chunkStream = (chunks: Chunks): StreamForm => ({
  contentType: SSE,
  heartbeat: SSE_COMMENT,
  push: (part) =>
    chunks
      .push(part)
      .map((chunk) => sse(chunk))
      .join(''),
  end: () => [...chunks.end().map((chunk) => sse(chunk)), sse('[DONE]')].join(''),
  fail: (problem: Problem) => sse(openaiError(problem)),
});

async function chat(kit: Kit, c: Ctx): Promise<Response> {
  const { job, stream, form: shape } = parseChat(await bodyOf(kit, c));
  const answering = await kit.service.chat(job, c.var.exchange.caller());
  const head = headOf(kit, 'chatcmpl-', c, answering, job.model);
  const form = stream ? chunkStream(new ChatChunks(head, shape)) : undefined;
  return answerWith(kit, c, answering, form, (parts) => chatResponse(head, shape, parts));
}

async function completions(kit: Kit, c: Ctx): Promise<Response> {
  const request = parseCompletion(await bodyOf(kit, c));
  const answering = await kit.service.complete(request.job, c.var.exchange.caller());
  const head = { ...headOf(kit, 'cmpl-', c, answering, request.job.model), echoes: answering.echoes };
  const form = request.stream ? chunkStream(new CompletionChunks(head, request)) : undefined;
  return answerWith(kit, c, answering, form, (parts) => completionResponse(head, request, parts));
}

async function responses(kit: Kit, c: Ctx): Promise<Response> {
  const { job, stream, echo, tools } = parseResponse(await bodyOf(kit, c));
  const answering = await kit.service.chat(job, c.var.exchange.caller());
  const head = headOf(kit, 'resp_', c, answering, job.model);
  const form = stream ? responseStream(new ResponseEvents(head, echo, tools)) : undefined;
  return answerWith(kit, c, answering, form, (parts) =>
    responseBody(
      head,
      echo,
      tools,
      parts.map(({ part }) => part),
    ),
  );
}

function responseStream(events: ResponseEvents): StreamForm {
  const text = (list: readonly ResponseEvent[]): string =>
    list.map((event) => sse(event, event.type)).join('');
  return {
    contentType: SSE,
    heartbeat: SSE_COMMENT,
    begin: () => text(events.begin()),
    push: ({ part }) => text(events.push(part)),
    fail: ({ message }) => text(events.fail(message)),
  };
}

async function embeddings(kit: Kit, c: Ctx): Promise<Response> {
  const { exchange } = c.var;
  const request = parseEmbedding(await bodyOf(kit, c));
  const { model, vectors, promptTokens } = await kit.service.embed(request.job, exchange.caller());
  const texts = embeddingText(request, request.job.model ?? model, vectors, promptTokens);
  return streamPieces(kit, exchange, { contentType: 'application/json' }, texts);
}

const listed = (kit: Kit, models: readonly LibraryModel[]): Promise<ListedModel[]> => {
  const loaded = new Map(kit.pool.list().map(({ name, model }) => [name, model.info.contextLength]));
  return Promise.all(
    models.map(async (model) => ({
      name: model.name,
      created: Math.floor(model.modified / 1000),
      contextLength: loaded.get(model.name) ?? (await kit.library.details(model))?.contextLength,
      loaded: loaded.has(model.name),
    })),
  );
};
