// Routes of the Ollama API.

import type { Hono } from 'hono';
import type { ModelDetails } from '../../engine/inspect.ts';
import type { Answering } from '../answering.ts';
import type { AnswerHead, ChatJob, CompletionJob } from '../job.ts';
import type { LibraryModel } from '../library.ts';
import { type OllamaForm, OllamaLines, ollamaBody, ollamaLoaded } from '../protocol/ollama/answers.ts';
import {
  type OllamaDetails,
  type OllamaModel,
  ollamaRunning,
  ollamaShow,
  ollamaTags,
} from '../protocol/ollama/models.ts';
import {
  type OllamaRequest,
  parseOllamaChat,
  parseOllamaEmbed,
  parseOllamaEmbeddings,
  parseOllamaGenerate,
  parseOllamaName,
  parseOllamaPull,
} from '../protocol/ollama/request.ts';
import { NDJSON } from '../stream.ts';
import { answerWith, bodyOf, type Ctx, type Env, headOf, type Kit, type StreamForm } from './kit.ts';

export function ollamaRoutes(app: Hono<Env>, kit: Kit): void {
  app.post('/api/chat', async (c) => answer(kit, c, 'chat', parseOllamaChat(await bodyOf(kit, c))));
  app.post('/api/generate', async (c) =>
    answer(kit, c, 'generate', parseOllamaGenerate(await bodyOf(kit, c))),
  );
  app.post('/api/embed', (c) => embed(kit, c));
  app.post('/api/embeddings', (c) => embedding(kit, c));
  app.post('/api/pull', (c) => pull(kit, c));
  app.get('/api/tags', async (c) => {
    const models = await kit.library.list();
    return c.json(ollamaTags(await Promise.all(models.map((model) => describe(kit, model)))));
  });
  app.post('/api/show', (c) => show(kit, c));
  app.get('/api/ps', (c) => running(kit, c));
  app.get('/api/version', (c) => c.json({ version: API_VERSION, ingot: kit.version }));
}

/** What clients compare with: the version of that API which is followed here. */
const API_VERSION = '0.13.0';

async function answer(
  kit: Kit,
  c: Ctx,
  form: OllamaForm,
  { model, job, stream, keepAlive }: OllamaRequest<ChatJob | CompletionJob>,
): Promise<Response> {
  const caller = c.var.exchange.caller(keepAlive);
  if (job === undefined) {
    await kit.service.touch(model, caller);
    const created = Math.floor(Date.now() / 1000);
    const head = { id: '', model, created, promptTokens: 0, fingerprint: '' };
    return c.json(ollamaLoaded(head, form, keepAlive === 0));
  }
  const answering: Answering =
    'messages' in job ? await kit.service.chat(job, caller) : await kit.service.complete(job, caller);
  const head = headOf(kit, '', c, answering, model);
  return answerWith(kit, c, answering, stream ? lineStream(head, form) : undefined, (parts) =>
    ollamaBody(
      head,
      form,
      parts.map(({ part }) => part),
    ),
  );
}

function lineStream(head: AnswerHead, form: OllamaForm): StreamForm {
  const lines = new OllamaLines(head, form);
  return {
    contentType: NDJSON,
    push: ({ part }) =>
      lines
        .push(part)
        .map((line) => `${JSON.stringify(line)}\n`)
        .join(''),
    fail: ({ message }) => `${JSON.stringify({ error: message })}\n`,
  };
}

async function embed(kit: Kit, c: Ctx): Promise<Response> {
  const { job, keepAlive } = parseOllamaEmbed(await bodyOf(kit, c));
  const { vectors, promptTokens, times } = await kit.service.embed(job, c.var.exchange.caller(keepAlive));
  return c.json({
    model: job.model,
    embeddings: vectors.map((vector) => [...vector]),
    total_duration: Math.round((times.loadMs + times.computeMs) * 1e6),
    load_duration: Math.round(times.loadMs * 1e6),
    prompt_eval_count: promptTokens,
  });
}

async function embedding(kit: Kit, c: Ctx): Promise<Response> {
  const { job, keepAlive } = parseOllamaEmbeddings(await bodyOf(kit, c));
  const { vectors } = await kit.service.embed(job, c.var.exchange.caller(keepAlive));
  return c.json({ embedding: [...(vectors[0] ?? [])] });
}

/** A request downloads nothing: what is there is pulled already, and anything else is not found. */
async function pull(kit: Kit, c: Ctx): Promise<Response> {
  const { model, stream } = parseOllamaPull(await bodyOf(kit, c));
  await kit.library.find(model);
  if (!stream) return c.json({ status: 'success' });
  const lines = ['pulling manifest', 'success'].map((status) => `${JSON.stringify({ status })}\n`);
  return c.body(lines.join(''), 200, { 'content-type': NDJSON });
}

async function show(kit: Kit, c: Ctx): Promise<Response> {
  const model = await kit.library.find(parseOllamaName(await bodyOf(kit, c)));
  const described = await describe(kit, model);
  const chat = described.details?.chat === true;
  return c.json(ollamaShow(described, chat ? ['completion', 'tools'] : ['completion']));
}

async function running(kit: Kit, c: Ctx): Promise<Response> {
  const known = new Map((await kit.library.list()).map((model) => [model.name, model]));
  const models = kit.pool.list().map(async ({ name, model, expires }) => {
    const listed = known.get(name);
    const details = listed && (await describe(kit, listed));
    const { kvBytes, kvBytesUsed, kvTier, prefix, experts } = model.status();
    return {
      name,
      identity: details?.identity ?? '',
      modified: details?.modified ?? 0,
      details: details?.details,
      // Prefixes include pages that generations use, too.
      bytes: model.info.weightBytes + Math.min(kvBytes, Math.max(kvBytesUsed, prefix.bytes)),
      kvBytes,
      experts,
      kvTier,
      contextLength: model.info.contextLength,
      expires,
    };
  });
  return c.json(ollamaRunning(await Promise.all(models)));
}

async function describe(kit: Kit, model: LibraryModel): Promise<OllamaModel> {
  const details = await kit.library.details(model);
  return {
    name: model.name,
    bytes: details?.weightBytes ?? model.bytes,
    modified: model.modified,
    identity: `${model.bytes.toString(16)}-${Math.floor(model.modified).toString(16)}`,
    details: details && detailsOf(details),
  };
}

const detailsOf = (details: ModelDetails): OllamaDetails => ({
  format: details.kind,
  family: details.family ?? 'unknown',
  parameters: details.parameters,
  quantization: details.formats[0]?.name ?? '',
  contextLength: details.contextLength,
  layers: details.layers,
  width: details.hiddenSize,
  chat: details.tokenizer?.chatTemplate === true,
});
