// Answers of the Ollama API: one JSON document per line while streaming, the same fields in one document otherwise.

import type { AnswerEnd, AnswerHead, AnswerPart, SpelledLogprob } from '../../job.ts';
import { AnswerMessage } from '../assemble.ts';
import { expertUsage } from '../experts.ts';
import { inputOf } from '../fields.ts';

/** Which fields the text goes into: `message` of /api/chat, or `response` of /api/generate. */
export type OllamaForm = 'chat' | 'generate';

const nanoseconds = (ms: number): number => Math.round(ms * 1e6);

const finalFields = (end: AnswerEnd) => ({
  done: true,
  done_reason: end.reason === 'length' ? 'length' : 'stop',
  total_duration: nanoseconds(end.times.loadMs + end.times.prefillMs + end.times.decodeMs),
  load_duration: nanoseconds(end.times.loadMs),
  prompt_eval_count: end.usage.promptTokens,
  prompt_eval_duration: nanoseconds(end.times.prefillMs),
  eval_count: end.usage.generatedTokens,
  ...expertUsage(end.usage.experts),
  eval_duration: nanoseconds(end.times.decodeMs),
});

interface Body {
  readonly content: string;
  readonly thinking: string;
  readonly calls: readonly { readonly id: string; readonly name: string; readonly json: string }[];
}

function fieldsOf(form: OllamaForm, { content, thinking, calls }: Body): object {
  const thought = thinking === '' ? {} : { thinking };
  if (form === 'generate') return { response: content, ...thought };
  const tool_calls = calls.map(({ id, name, json }, index) => ({
    id,
    function: { index, name, arguments: inputOf(json) },
  }));
  return {
    message: { role: 'assistant', content, ...thought, ...(tool_calls.length > 0 ? { tool_calls } : {}) },
  };
}

const nothing: Body = { content: '', thinking: '', calls: [] };

/** Lines of a streamed answer. A tool call is sent whole, when the next thing begins or the answer ends. */
export class OllamaLines {
  readonly #head: AnswerHead;
  readonly #form: OllamaForm;
  readonly #message = new AnswerMessage();
  #sentCalls = 0;

  constructor(head: AnswerHead, form: OllamaForm) {
    this.#head = head;
    this.#form = form;
  }

  push(part: AnswerPart): object[] {
    if (part.kind === 'end') {
      return [...this.#callsUpTo(this.#message.calls.length), this.#line(nothing, finalFields(part))];
    }
    const lines = part.events.flatMap((event) => {
      this.#message.add(event);
      if (event.kind === 'toolCall') return this.#callsUpTo(event.index);
      if (event.kind === 'text') return [this.#line({ ...nothing, content: event.text })];
      if (event.kind === 'reasoning') return [this.#line({ ...nothing, thinking: event.text })];
      return [];
    });
    if (part.logprobs.length === 0) return lines;
    const [first = this.#line(nothing), ...others] = lines;
    return [{ ...first, logprobs: part.logprobs.map(logprobOf) }, ...others];
  }

  #callsUpTo(count: number): object[] {
    const calls = this.#message.calls.slice(this.#sentCalls, count);
    this.#sentCalls = Math.max(this.#sentCalls, count);
    return calls.length === 0 ? [] : [this.#line({ ...nothing, calls })];
  }

  #line(body: Body, more: object = { done: false }): object {
    return { ...base(this.#head), ...fieldsOf(this.#form, body), ...more };
  }
}

const logprobOf = ({ top, ...token }: SpelledLogprob): object => ({ ...token, top_logprobs: top });

const base = (head: AnswerHead) => ({
  model: head.model,
  created_at: new Date(head.created * 1000).toISOString(),
});

/** The whole answer of a request that does not stream. */
export function ollamaBody(head: AnswerHead, form: OllamaForm, parts: readonly AnswerPart[]): object {
  const message = new AnswerMessage();
  for (const part of parts) message.push(part);
  const body = { content: message.text, thinking: message.reasoning, calls: message.calls };
  return {
    ...base(head),
    ...fieldsOf(form, body),
    ...(message.logprobs.length > 0 ? { logprobs: message.logprobs.map(logprobOf) } : {}),
    ...(message.end ? finalFields(message.end) : { done: true }),
  };
}

/** The answer to a request without a prompt, which loads a model or lets it go. */
export const ollamaLoaded = (head: AnswerHead, form: OllamaForm, unloaded: boolean): object => ({
  ...base(head),
  ...fieldsOf(form, nothing),
  done: true,
  done_reason: unloaded ? 'unload' : 'load',
});
