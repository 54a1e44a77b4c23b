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
  type SpelledLogprob,
  totalUsage,
  type Usage,
} from '../../job.ts';
import { RequestError } from '../../problem.ts';
import { AnswerMessage } from '../assemble.ts';
import { expertUsage } from '../experts.ts';
import { functionField, refuseUnfollowed, stopOf, toolFields, toolOf, toolsOf } from '../fields.ts';
import { object, optional, parse } from '../zod.ts';
import { continued, messageFields, messagesOf, toolChoiceField, toolChoiceOf } from './messages.ts';
import {
  defaults,
  formatField,
  formOf,
  grammarFields,
  limitField,
  limitOf,
  samplingFields,
  samplingOf,
} from './sampling.ts';

const shape = z.object({
  ...samplingFields,
  messages: messageFields.min(1, 'must have at least one message'),
  ...grammarFields,
  max_tokens: limitField(1),
  max_completion_tokens: limitField(1),
  /** What llama.cpp's clients call it. */
  n_predict: limitField(1),
  logprobs: optional(z.boolean()),
  top_logprobs: optional(z.int().min(0).max(20)),
  tools: toolFields,
  tool_choice: toolChoiceField,
  /** The names of tools in an earlier form of the API. */
  functions: optional(z.array(functionField)),
  function_call: optional(z.union([z.enum(['auto', 'none']), z.object({ name: z.string() })])),
  parallel_tool_calls: optional(z.boolean()),
  response_format: formatField,
  reasoning_effort: optional(z.string()),
  chat_template_kwargs: optional(object),
  modalities: optional(z.array(z.literal('text', 'only text can be answered'))),
  /** Go on with a last message of the assistant; default true. */
  continue_final_message: optional(z.boolean()),
  /** As in the Responses API: `auto` leaves the oldest turns out when the conversation does not fit. */
  truncation: optional(z.enum(['auto', 'disabled'])),
});

export interface ChatCompletionRequest {
  readonly job: ChatJob;
  readonly stream: boolean;
  readonly form: ChatForm;
}

/** What of a request shapes its answer. */
export interface ChatForm {
  readonly includeUsage: boolean;
  /** Log probabilities were asked for: they are there, however few. */
  readonly logprobs: boolean;
  /** Calls in the earlier form, `function_call`, which has one. */
  readonly functions: boolean;
}

/** Throws RequestError naming the field that is wrong. */
export function parseChat(body: unknown): ChatCompletionRequest {
  const request = parse(shape, body);
  refuseUnfollowed(body as Readonly<Record<string, unknown>>);
  const functions = request.functions !== undefined || request.function_call !== undefined;
  const tools = [...toolsOf(request.tools), ...(request.functions ?? []).map(toolOf)];
  const choice = functions ? (request.function_call ?? request.tool_choice) : request.tool_choice;
  const { messages, prefill } = continued(messagesOf(request.messages), request.continue_final_message);
  if (request.top_logprobs !== undefined && request.logprobs !== true) {
    throw new RequestError('invalid', 'top_logprobs: needs logprobs to be true', { param: 'top_logprobs' });
  }
  const { enable_thinking: thinking } = request.chat_template_kwargs ?? {};
  return {
    stream: request.stream ?? false,
    form: {
      includeUsage: request.stream_options?.include_usage ?? false,
      logprobs: request.logprobs === true,
      functions,
    },
    job: {
      model: request.model,
      messages,
      prefill,
      fullContext: request.truncation === 'auto' ? 'dropOldest' : 'error',
      tools,
      toolChoice: toolChoiceOf(
        typeof choice === 'object' && 'name' in choice && !('type' in choice)
          ? { type: 'function', name: choice.name, namespace: undefined, function: undefined }
          : choice,
        tools,
      ),
      parallelToolCalls: functions ? false : (request.parallel_tool_calls ?? true),
      sampling: samplingOf(request),
      defaults,
      maxTokens: limitOf(request.max_completion_tokens ?? request.max_tokens ?? request.n_predict),
      ignoreEos: request.ignore_eos,
      stop: stopOf(request.stop),
      logprobs: request.logprobs === true ? (request.top_logprobs ?? 0) : undefined,
      n: request.n ?? 1,
      responseFormat: formOf(request),
      thinking: typeof thinking === 'boolean' ? thinking : thinkingOf(request.reasoning_effort, prefill),
      reasoningEffort: request.reasoning_effort,
      templateOptions: request.chat_template_kwargs,
    },
  };
}

/** `none` turns thinking off, and so does an answer that has begun; every other effort leaves it to the model. */
export const thinkingOf = (effort: string | undefined, prefill?: string | undefined): boolean | undefined =>
  effort === 'none' || prefill !== undefined ? false : undefined;

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
  ...expertUsage(usage.experts),
});

const logprobsOf = (tokens: readonly SpelledLogprob[]) => ({
  content: tokens.map(({ top, ...token }) => ({ ...token, bytes: [...token.bytes], top_logprobs: top })),
  refusal: null,
});

/** What an event adds to the message; nothing for a second call where there can be one. */
function deltaOf(event: AnswerEvent, { functions }: ChatForm): object | undefined {
  if (functions && (event.kind === 'toolCall' || event.kind === 'toolArguments')) {
    if (event.index > 0) return undefined;
    return {
      function_call:
        event.kind === 'toolCall' ? { name: event.name, arguments: '' } : { arguments: event.json },
    };
  }
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

const reasonOf = (reason: EndReason, { functions }: ChatForm): string =>
  functions && reason === 'toolCalls' ? 'function_call' : finishReasons[reason];

function callsOf({ calls }: AnswerMessage, { functions }: ChatForm): object {
  const [first] = calls;
  if (first === undefined) return {};
  if (functions) return { function_call: { name: first.name, arguments: first.json } };
  return {
    tool_calls: calls.map(({ id, name, json }) => ({
      id,
      type: 'function',
      function: { name, arguments: json },
    })),
  };
}

/** Chunks of a streamed answer, one call per part. */
export class ChatChunks {
  readonly #head: AnswerHead;
  readonly #form: ChatForm;
  readonly #begun = new Set<number>();
  readonly #ends: AnswerEnd[] = [];

  constructor(head: AnswerHead, form: ChatForm) {
    this.#head = head;
    this.#form = form;
  }

  push({ choice, part }: ChoicePart): object[] {
    const chunks = this.#begin(choice);
    if (part.kind === 'end') {
      this.#ends.push(part);
      chunks.push(this.#chunk(choice, {}, { finish_reason: reasonOf(part.reason, this.#form) }));
      return chunks;
    }
    const deltas = part.events
      .map((event) => deltaOf(event, this.#form))
      .filter((delta) => delta !== undefined);
    if (deltas.length === 0 && part.logprobs.length > 0) deltas.push({ content: '' });
    deltas.forEach((delta, i) => {
      const logprobs = i === 0 && part.logprobs.length > 0 ? logprobsOf(part.logprobs) : undefined;
      chunks.push(this.#chunk(choice, delta, logprobs && { logprobs }));
    });
    return chunks;
  }

  /** The last chunk: the usage, when it was asked for. */
  end(): object[] {
    return this.#form.includeUsage
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
      choices: [
        {
          index,
          delta,
          logprobs: this.#form.logprobs ? logprobsOf([]) : null,
          finish_reason: null,
          ...more,
        },
      ],
      ...(this.#form.includeUsage ? { usage: null } : {}),
    };
  }

  #base(): object {
    const { id, created, model, fingerprint } = this.#head;
    return { id, object: 'chat.completion.chunk', created, model, system_fingerprint: fingerprint };
  }
}

/** The whole answer of a request that does not stream. */
export function chatResponse(head: AnswerHead, form: ChatForm, parts: readonly ChoicePart[]): object {
  const messages = AnswerMessage.byChoice(parts);
  return {
    id: head.id,
    object: 'chat.completion',
    created: head.created,
    model: head.model,
    system_fingerprint: head.fingerprint,
    choices: messages.map((message, index) => ({
      index,
      message: {
        role: 'assistant',
        content: message.text === '' && message.calls.length > 0 ? null : message.text,
        refusal: null,
        ...(message.reasoning === '' ? {} : { reasoning_content: message.reasoning }),
        ...callsOf(message, form),
      },
      logprobs: form.logprobs ? logprobsOf(message.logprobs) : null,
      finish_reason: reasonOf(message.end?.reason ?? 'end', form),
    })),
    usage: usageOf(totalUsage(messages.flatMap(({ end }) => (end ? [end] : [])))),
  };
}
