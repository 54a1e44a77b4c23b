// Requests of the OpenAI Responses API. Stateless: what a client wants remembered, it sends again.
// https://platform.openai.com/docs/api-reference/responses/create

import { z } from 'zod';
import type { Tool } from '../../../chat/messages.ts';
import type { ChatJob } from '../../job.ts';
import { RequestError } from '../../problem.ts';
import { nonZero, refuseUnfollowed, seedField, seedOf, topKField, topKOf } from '../fields.ts';
import { optional, parse } from '../zod.ts';
import { thinkingOf } from './chat.ts';
import { continued, toolChoiceField, toolChoiceOf } from './messages.ts';
import { item, messagesOf } from './responses-items.ts';
import { flatName, ResponseTools, responseTools } from './responses-tools.ts';
import { defaults, formatField, formatOf } from './sampling.ts';

const shape = z.object({
  model: optional(z.string()),
  input: z.union([z.string(), z.array(item).min(1)]),
  instructions: optional(z.string()),
  previous_response_id: optional(z.string()),
  conversation: optional(z.unknown()),
  background: optional(z.boolean()),
  stream: optional(z.boolean()),
  temperature: optional(z.number().min(0).max(2)),
  top_p: optional(z.number().min(0).max(1)),
  top_logprobs: optional(z.int().min(0).max(20)),
  include: optional(z.array(z.string())),
  seed: seedField,
  top_k: topKField,
  max_output_tokens: optional(z.int().min(1)),
  tools: optional(responseTools),
  /** A prompt that is stored at the service. */
  prompt: optional(z.unknown()),
  truncation: optional(z.enum(['auto', 'disabled'])),
  tool_choice: toolChoiceField,
  parallel_tool_calls: optional(z.boolean()),
  text: optional(z.object({ format: formatField })),
  reasoning: optional(z.object({ effort: optional(z.string()) })),
  metadata: optional(z.record(z.string(), z.string())),
});

export interface ResponseRequest {
  readonly job: ChatJob;
  readonly stream: boolean;
  readonly tools: ResponseTools;
  /** What a response repeats of its request. */
  readonly echo: Readonly<Record<string, unknown>>;
}

/** Throws RequestError naming the field that is wrong or that would need stored state. */
export function parseResponse(body: unknown): ResponseRequest {
  const request = parse(shape, body);
  refuseState(request);
  refuseUnfollowed(body as Readonly<Record<string, unknown>>);
  const offered = new ResponseTools([...(request.tools ?? []), ...additionalTools(request.input)]);
  const { tools } = offered;
  const { messages, prefill } = continued(messagesOf(request.instructions, request.input), undefined);
  const wantsLogprobs = request.include?.includes('message.output_text.logprobs') ?? false;
  return {
    stream: request.stream ?? false,
    tools: offered,
    echo: echoOf(request, tools),
    job: {
      model: request.model,
      messages,
      prefill,
      fullContext: request.truncation === 'auto' ? 'dropOldest' : 'error',
      tools,
      toolChoice: toolChoiceOf(flatChoice(request.tool_choice), tools),
      parallelToolCalls: request.parallel_tool_calls ?? true,
      sampling: {
        temperature: request.temperature,
        topP: nonZero(request.top_p),
        topK: topKOf(request.top_k),
        seed: seedOf(request.seed),
      },
      defaults,
      maxTokens: request.max_output_tokens,
      stop: [],
      logprobs: wantsLogprobs || request.top_logprobs !== undefined ? (request.top_logprobs ?? 0) : undefined,
      n: 1,
      responseFormat: formatOf(request.text?.format, 'text.format'),
      thinking: thinkingOf(request.reasoning?.effort, prefill),
      reasoningEffort: request.reasoning?.effort,
    },
  };
}

function refuseState(request: z.output<typeof shape>): void {
  for (const param of ['previous_response_id', 'conversation'] as const) {
    if (request[param] === undefined) continue;
    throw new RequestError(
      'invalid',
      `${param}: this server stores no responses; send the earlier items again in "input" (what they share with an earlier request is not computed again)`,
      { param },
    );
  }
  if (request.prompt !== undefined) {
    throw new RequestError(
      'invalid',
      'prompt: this server stores no prompts; send "instructions" and "input"',
      {
        param: 'prompt',
      },
    );
  }
  if (request.background === true) {
    throw new RequestError('invalid', 'background: this server stores no responses; use "stream" instead', {
      param: 'background',
    });
  }
}

/** Tools that stand among the items, where an agent found them in the course of a conversation. */
function additionalTools(input: z.output<typeof shape>['input']): z.output<typeof responseTools> {
  if (typeof input === 'string') return [];
  return input
    .filter(({ type }) => type === 'additional_tools')
    .flatMap(
      (each, i) =>
        parse(z.object({ tools: responseTools }), { tools: each.tools ?? [] }, `input[${i}].`).tools,
    );
}

/** A choice of a tool in a namespace, by the name that the model knows. */
const flatChoice = (choice: z.output<typeof toolChoiceField>): z.output<typeof toolChoiceField> => {
  if (typeof choice !== 'object' || choice.name === undefined) return choice;
  const type = choice.type === 'custom' ? 'function' : choice.type;
  return { ...choice, type, name: flatName(choice.name, choice.namespace) };
};

const echoOf = (request: z.output<typeof shape>, tools: readonly Tool[]) => ({
  instructions: request.instructions ?? null,
  max_output_tokens: request.max_output_tokens ?? null,
  metadata: request.metadata ?? {},
  parallel_tool_calls: request.parallel_tool_calls ?? true,
  previous_response_id: null,
  reasoning: { effort: request.reasoning?.effort ?? null, summary: null },
  store: false,
  temperature: request.temperature ?? null,
  text: { format: request.text?.format ?? { type: 'text' } },
  tool_choice: request.tool_choice ?? 'auto',
  tools: tools.map((tool) => ({
    type: 'function',
    description: null,
    parameters: null,
    strict: false,
    ...tool.function,
  })),
  top_p: request.top_p ?? null,
  truncation: request.truncation ?? 'disabled',
});
