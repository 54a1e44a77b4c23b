// Responses of the OpenAI Responses API: one state machine makes the stream's events, and the whole response is what the
// last of them carries. https://platform.openai.com/docs/api-reference/responses-streaming

import type { AnswerEvent } from '../../../chat/answer.ts';
import type { AnswerEnd, AnswerHead, AnswerPart, SpelledLogprob } from '../../job.ts';
import { expertUsage } from '../experts.ts';
import { type OfferedTool, type ResponseTools, textOfInput } from './responses-tools.ts';

export interface ResponseEvent {
  readonly type: string;
  readonly [field: string]: unknown;
}

/** An output item while it is written. */
type OpenItem =
  | { readonly kind: 'text'; readonly id: string; text: string; readonly logprobs: SpelledLogprob[] }
  | { readonly kind: 'reasoning'; readonly id: string; text: string }
  | {
      readonly kind: 'call';
      readonly id: string;
      readonly callId: string;
      readonly tool: OfferedTool;
      json: string;
    };

type Draft = Omit<ResponseEvent, 'sequence_number'> & { readonly type: string };

const logprobsOf = (tokens: readonly SpelledLogprob[]) =>
  tokens.map(({ top, ...token }) => ({ ...token, top_logprobs: top }));

/** The part of an item that deltas go into. */
const contentOf = (item: OpenItem & { kind: 'text' | 'reasoning' }, text: string): object =>
  item.kind === 'text'
    ? { type: 'output_text', text, annotations: [], logprobs: text === '' ? [] : logprobsOf(item.logprobs) }
    : { type: 'reasoning_text', text };

function itemOf(item: OpenItem, status: 'in_progress' | 'completed' | 'incomplete'): object {
  const done = status !== 'in_progress';
  switch (item.kind) {
    case 'text':
      return {
        id: item.id,
        type: 'message',
        status,
        role: 'assistant',
        content: done ? [contentOf(item, item.text)] : [],
      };
    case 'reasoning':
      return {
        id: item.id,
        type: 'reasoning',
        summary: [],
        ...(done ? { content: [contentOf(item, item.text)] } : {}),
        status,
      };
    case 'call': {
      const { name, namespace, kind } = item.tool;
      const common = { id: item.id, status, call_id: item.callId, name };
      return {
        ...common,
        ...(namespace === undefined ? {} : { namespace }),
        ...(kind === 'function'
          ? { type: 'function_call', arguments: item.json }
          : { type: 'custom_tool_call', input: done ? textOfInput(item.json) : '' }),
      };
    }
  }
}

export class ResponseEvents {
  readonly #head: AnswerHead;
  readonly #echo: Readonly<Record<string, unknown>>;
  readonly #tools: ResponseTools;
  readonly #output: object[] = [];
  /** Calls may be written to after another one has begun; text and reasoning are closed by whatever follows. */
  readonly #open = new Map<number, OpenItem>();
  #current: number | undefined;
  #calls = new Map<number, number>();
  #sequence = 0;
  #items = 0;

  constructor(head: AnswerHead, echo: Readonly<Record<string, unknown>>, tools: ResponseTools) {
    this.#head = head;
    this.#tools = tools;
    this.#echo = echo;
  }

  begin(): ResponseEvent[] {
    const response = this.#response('in_progress', undefined);
    return this.#number([
      { type: 'response.created', response },
      { type: 'response.in_progress', response },
    ]);
  }

  push(part: AnswerPart): ResponseEvent[] {
    if (part.kind === 'end') return this.#finish(part);
    let logprobs = part.logprobs;
    const drafts = part.events.flatMap((event) => {
      const made = this.#event(event, logprobs);
      logprobs = [];
      return made;
    });
    return this.#number(drafts);
  }

  /** The stream ends with this when the generation failed. */
  fail(message: string): ResponseEvent[] {
    const error = { code: 'server_error', message };
    return this.#number([
      { type: 'response.failed', response: { ...this.#response('failed', undefined), error } },
    ]);
  }

  #event(event: AnswerEvent, logprobs: readonly SpelledLogprob[]): Draft[] {
    switch (event.kind) {
      case 'text':
      case 'reasoning':
        return this.#textDelta(event.kind, event.text, logprobs);
      case 'toolCall':
        return [...this.#closeCurrent('completed'), ...this.#openCall(event)];
      case 'toolArguments': {
        const index = this.#calls.get(event.index);
        const item = index === undefined ? undefined : this.#open.get(index);
        if (item?.kind !== 'call') return [];
        item.json += event.json;
        // A text is taken out of its JSON when all of that is there.
        if (item.tool.kind === 'custom') return [];
        const where = { item_id: item.id, output_index: index };
        return [{ type: 'response.function_call_arguments.delta', ...where, delta: event.json }];
      }
    }
  }

  #textDelta(kind: 'text' | 'reasoning', delta: string, logprobs: readonly SpelledLogprob[]): Draft[] {
    const drafts: Draft[] = [];
    let index = this.#current;
    let item = index === undefined ? undefined : this.#open.get(index);
    if (item?.kind !== kind || index === undefined) {
      drafts.push(...this.#closeCurrent('completed'));
      index = this.#items++;
      const id = `${kind === 'text' ? 'msg' : 'rs'}_${this.#head.id}_${index}`;
      item = kind === 'text' ? { kind, id, text: '', logprobs: [] } : { kind, id, text: '' };
      this.#open.set(index, item);
      this.#current = index;
      drafts.push(
        { type: 'response.output_item.added', output_index: index, item: itemOf(item, 'in_progress') },
        { type: 'response.content_part.added', ...place(item, index), part: contentOf(item, '') },
      );
    }
    item.text += delta;
    if (item.kind === 'text') item.logprobs.push(...logprobs);
    drafts.push({
      type: `response.${kind === 'text' ? 'output_text' : 'reasoning_text'}.delta`,
      ...place(item, index),
      delta,
      ...(kind === 'text' ? { logprobs: logprobsOf(logprobs) } : {}),
    });
    return drafts;
  }

  #openCall(event: AnswerEvent & { kind: 'toolCall' }): Draft[] {
    const index = this.#items++;
    const tool = this.#tools.offered(event.name);
    const id = `${tool.kind === 'function' ? 'fc' : 'ctc'}_${this.#head.id}_${index}`;
    const item: OpenItem = { kind: 'call', id, callId: event.id, tool, json: '' };
    this.#open.set(index, item);
    this.#calls.set(event.index, index);
    return [{ type: 'response.output_item.added', output_index: index, item: itemOf(item, 'in_progress') }];
  }

  #closeCurrent(status: 'completed' | 'incomplete'): Draft[] {
    if (this.#current === undefined) return [];
    const index = this.#current;
    this.#current = undefined;
    return this.#close(index, status);
  }

  #close(index: number, status: 'completed' | 'incomplete'): Draft[] {
    const item = this.#open.get(index);
    if (!item) return [];
    this.#open.delete(index);
    const whole = itemOf(item, status);
    this.#output[index] = whole;
    const done: Draft = { type: 'response.output_item.done', output_index: index, item: whole };
    if (item.kind === 'call') {
      const where = { item_id: item.id, output_index: index };
      const { tool, json } = item;
      if (tool.kind === 'custom') {
        const input = textOfInput(json);
        return [
          { type: 'response.custom_tool_call_input.delta', ...where, delta: input },
          { type: 'response.custom_tool_call_input.done', ...where, input },
          done,
        ];
      }
      const { name } = tool;
      return [{ type: 'response.function_call_arguments.done', ...where, name, arguments: json }, done];
    }
    const type = `response.${item.kind === 'text' ? 'output_text' : 'reasoning_text'}.done`;
    const logprobs = item.kind === 'text' ? { logprobs: logprobsOf(item.logprobs) } : {};
    return [
      { type, ...place(item, index), text: item.text, ...logprobs },
      { type: 'response.content_part.done', ...place(item, index), part: contentOf(item, item.text) },
      done,
    ];
  }

  #finish(end: AnswerEnd): ResponseEvent[] {
    const status = end.reason === 'length' ? 'incomplete' : 'completed';
    // An answer without any output still is a message.
    const drafts = this.#items === 0 ? this.#textDelta('text', '', []) : [];
    for (const index of [...this.#open.keys()].sort((a, b) => a - b))
      drafts.push(...this.#close(index, status));
    drafts.push({ type: `response.${status}`, response: this.#response(status, end) });
    return this.#number(drafts);
  }

  #response(
    status: 'in_progress' | 'completed' | 'incomplete' | 'failed',
    end: AnswerEnd | undefined,
  ): object {
    return {
      id: this.#head.id,
      object: 'response',
      created_at: this.#head.created,
      status,
      error: null,
      incomplete_details: status === 'incomplete' ? { reason: 'max_output_tokens' } : null,
      model: this.#head.model,
      output: [...this.#output],
      ...this.#echo,
      usage: end
        ? {
            input_tokens: end.usage.promptTokens,
            input_tokens_details: { cached_tokens: end.usage.cachedTokens },
            output_tokens: end.usage.generatedTokens,
            output_tokens_details: { reasoning_tokens: end.usage.reasoningTokens },
            total_tokens: end.usage.promptTokens + end.usage.generatedTokens,
            ...expertUsage(end.usage.experts),
          }
        : null,
    };
  }

  #number(drafts: readonly Draft[]): ResponseEvent[] {
    return drafts.map((draft) => ({ ...draft, sequence_number: this.#sequence++ }));
  }
}

const place = (item: OpenItem, index: number) => ({
  item_id: item.id,
  output_index: index,
  content_index: 0,
});

/** The whole response of a request that does not stream. */
export function responseBody(
  head: AnswerHead,
  echo: Readonly<Record<string, unknown>>,
  tools: ResponseTools,
  parts: readonly AnswerPart[],
): unknown {
  const events = new ResponseEvents(head, echo, tools);
  events.begin();
  return parts.flatMap((part) => events.push(part)).at(-1)?.response;
}
