// Routes of the Anthropic API.

import type { Hono } from 'hono';
import { anthropicError } from '../protocol/anthropic/errors.ts';
import { type MessageEvent, MessageEvents, messageBody } from '../protocol/anthropic/messages.ts';
import { parseCount, parseMessages } from '../protocol/anthropic/request.ts';
import { SSE, sse } from '../stream.ts';
import {
  answerWith,
  bodyOf,
  type Ctx,
  type Env,
  headOf,
  type Kit,
  type StreamForm,
  versioned,
} from './kit.ts';

export function anthropicRoutes(app: Hono<Env>, kit: Kit): void {
  app.on('POST', versioned('/messages'), (c) => messages(kit, c));
  app.on('POST', versioned('/messages/count_tokens'), async (c) => {
    const job = parseCount(await bodyOf(kit, c));
    return c.json({ input_tokens: await kit.service.count(job, c.var.exchange.caller()) });
  });
}

async function messages(kit: Kit, c: Ctx): Promise<Response> {
  const { job, stream } = parseMessages(await bodyOf(kit, c));
  const answering = await kit.service.chat(job, c.var.exchange.caller());
  const head = headOf(kit, 'msg_', c, answering, job.model);
  const form = stream ? messageStream(new MessageEvents(head), c.var.exchange.id) : undefined;
  return answerWith(kit, c, answering, form, (parts) =>
    messageBody(
      head,
      parts.map(({ part }) => part),
    ),
  );
}

const text = (events: readonly MessageEvent[]): string =>
  events.map((event) => sse(event, event.type)).join('');

const messageStream = (events: MessageEvents, requestId: string): StreamForm => ({
  contentType: SSE,
  heartbeat: text([{ type: 'ping' }]),
  begin: () => text(events.begin()),
  push: ({ part }) => text(events.push(part)),
  fail: (problem) => sse(anthropicError(problem, requestId), 'error'),
});
