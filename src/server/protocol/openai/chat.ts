// The OpenAI chat API: request to job, answer parts to chunks or to one response.
// https://platform.openai.com/docs/api-reference/chat

import { z } from 'zod';
import type { AnswerEvent } from '../../../chat/answer.ts';
import type { EndReason } from '../../../engine/types.ts';
import {
  type AnswerEnd,
  type AnswerHead,
  type ChatJob,
  type ChoicePart,
  type TokenLogprob,
  totalUsage,
  type Usage,
} from '../../job.ts';
import { RequestError } from '../../problem.ts';
import { Message } from '../assemble.ts';
import { stopOf, toolFields, toolsOf } from '../fields.ts';
import { object, optional, parse } from '../zod.ts';
import { messageFields, messagesOf, toolChoiceField, toolChoiceOf } from './messages.ts';
import { defaults, formatField, formatOf, samplingFields, samplingOf } from './sampling.ts';

const shape = z.object({
  ...samplingFields,
  messages: messageFields.min(1, 'must have at least one message'),
  max_tokens: optional(z.int().min(1)),
  max_completion_tokens: optional(z.int().min(1)),
  logprobs: optional(z.boolean()),
  top_logprobs: optional(z.int().min(0).max(20)),
  tools: toolFields,
  tool_choice: toolChoiceField,
  parallel_tool_calls: optional(z.boolean()),
  response_format: formatField,
  reasoning_effort: optional(z.string()),
  chat_template_kwargs: optional(object),
});

export interface ChatRequest {
  readonly job: ChatJob;
  readonly stream: boolean;
  readonly includeUsage: boolean;
}

/** Throws RequestError naming the field that is wrong. */
export function parseChat(body: unknown): ChatRequest {
  const request = parse(shape, body);
  const tools = toolsOf(request.tools);
  if (request.top_logprobs !== undefined && request.logprobs !== true) {
    throw new RequestError('invalid', 'top_logprobs: needs logprobs to be true', { param: 'top_logprobs' });
  }
  const { enable_thinking: thinking } = request.chat_template_kwargs ?? {};
  return {
    stream: request.stream ?? false,
    includeUsage: request.stream_options?.include_usage ?? false,
    job: {
      model: request.model,
      messages: messagesOf(request.messages),
      tools,
      toolChoice: toolChoiceOf(request.tool_choice, tools),
      parallelToolCalls: request.parallel_tool_calls ?? true,
      sampling: samplingOf(request),
      defaults,
      maxTokens: request.max_completion_tokens ?? request.max_tokens,
      ignoreEos: request.ignore_eos,
      stop: stopOf(request.stop),
      logprobs: request.logprobs === true ? (request.top_logprobs ?? 0) : undefined,
      n: request.n ?? 1,
      responseFormat: formatOf(request.response_format, 'response_format'),
      thinking: typeof thinking === 'boolean' ? thinking : thinkingOf(request.reasoning_effort),
      reasoningEffort: request.reasoning_effort,
      templateOptions: request.chat_template_kwargs,
    },
  };
}

/** `none` turns thinking off; every other effort leaves it to the model. */
export const thinkingOf = (effort: string | undefined): boolean | undefined =>
  effort === 'none' ? false : undefined;

const finishReasons: Readonly<Record<EndReason, string>> = {
  end: 'stop',
  stopText: 'stop',
  length: 'length',
  toolCalls: 'tool_calls',
};

export const usageOf = (usage: Usage) => ({
  prompt_tokens: usage.promptTokens,
  completion_tokens: usage.generatedTokens,
  total_tokens: usage.promptTokens + usage.generatedTokens,
  prompt_tokens_details: { cached_tokens: usage.cachedTokens },
  completion_tokens_details: { reasoning_tokens: usage.reasoningTokens },
});

const logprobsOf = (tokens: readonly TokenLogprob[]) => ({
  content: tokens.map(({ top, ...token }) => ({ ...token, bytes: [...token.bytes], top_logprobs: top })),
  refusal: null,
});

/** What an event adds to the message. */
function deltaOf(event: AnswerEvent): object {
  switch (event.kind) {
    case 'text':
      return { content: event.text };
    case 'reasoning':
      return { reasoning_content: event.text };
    case 'toolCall':
      return {
        tool_calls: [
          {
            index: event.index,
            id: event.id,
            type: 'function',
            function: { name: event.name, arguments: '' },
          },
        ],
      };
    case 'toolArguments':
      return { tool_calls: [{ index: event.index, function: { arguments: event.json } }] };
  }
}

/** Chunks of a streamed answer, one call per part. */
export class ChatChunks {
  readonly #head: AnswerHead;
  readonly #includeUsage: boolean;
  readonly #begun = new Set<number>();
  readonly #ends: AnswerEnd[] = [];

  constructor(head: AnswerHead, includeUsage: boolean) {
    this.#head = head;
    this.#includeUsage = includeUsage;
  }

  push({ choice, part }: ChoicePart): object[] {
    const chunks = this.#begin(choice);
    if (part.kind === 'end') {
      this.#ends.push(part);
      chunks.push(this.#chunk(choice, {}, { finish_reason: finishReasons[part.reason] }));
      return chunks;
    }
    const deltas = part.events.map(deltaOf);
    if (deltas.length === 0 && part.logprobs.length > 0) deltas.push({ content: '' });
    deltas.forEach((delta, i) => {
      const logprobs = i === 0 && part.logprobs.length > 0 ? logprobsOf(part.logprobs) : undefined;
      chunks.push(this.#chunk(choice, delta, logprobs && { logprobs }));
    });
    return chunks;
  }

  /** The last chunk: the usage, when it was asked for. */
  end(): object[] {
    return this.#includeUsage
      ? [{ ...this.#base(), choices: [], usage: usageOf(totalUsage(this.#ends)) }]
      : [];
  }

  #begin(choice: number): object[] {
    if (this.#begun.has(choice)) return [];
    this.#begun.add(choice);
    return [this.#chunk(choice, { role: 'assistant', content: '' })];
  }

  #chunk(index: number, delta: object, more: object = {}): object {
    return {
      ...this.#base(),
      choices: [{ index, delta, logprobs: null, finish_reason: null, ...more }],
      ...(this.#includeUsage ? { usage: null } : {}),
    };
  }

  #base(): object {
    const { id, created, model } = this.#head;
    return { id, object: 'chat.completion.chunk', created, model };
  }
}

/** The whole answer of a request that does not stream. */
export function chatResponse(head: AnswerHead, parts: readonly ChoicePart[]): object {
  const messages = Message.byChoice(parts);
  return {
    id: head.id,
    object: 'chat.completion',
    created: head.created,
    model: head.model,
    choices: messages.map((message, index) => ({
      index,
      message: {
        role: 'assistant',
        content: message.text === '' && message.calls.length > 0 ? null : message.text,
        refusal: null,
        ...(message.reasoning === '' ? {} : { reasoning_content: message.reasoning }),
        ...(message.calls.length === 0
          ? {}
          : {
              tool_calls: message.calls.map(({ id, name, json }) => ({
                id,
                type: 'function',
                function: { name, arguments: json },
              })),
            }),
      },
      logprobs: message.logprobs.length > 0 ? logprobsOf(message.logprobs) : null,
      finish_reason: finishReasons[message.end?.reason ?? 'end'],
    })),
    usage: usageOf(totalUsage(messages.flatMap(({ end }) => (end ? [end] : [])))),
  };
}
