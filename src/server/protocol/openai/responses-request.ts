// Requests of the OpenAI Responses API. Stateless: what a client wants remembered, it sends again.
// https://platform.openai.com/docs/api-reference/responses/create

import { z } from 'zod';
import type { Message, Tool, ToolCall } from '../../../chat/messages.ts';
import type { ChatJob } from '../../job.ts';
import { RequestError } from '../../problem.ts';
import { callsOf, nonZero, reasoningOf, seedOf, toolOf } from '../fields.ts';
import { object, optional, parse } from '../zod.ts';
import { thinkingOf } from './chat.ts';
import { textOf, toolChoiceField, toolChoiceOf } from './messages.ts';
import { defaults, formatField, formatOf } from './sampling.ts';

const contentPart = z.object({ type: z.string(), text: optional(z.string()), refusal: optional(z.string()) });

/** Items are told apart by hand: clients send back, without a type, what they got. */
const item = z.object({
  type: optional(z.string()),
  role: optional(z.enum(['system', 'developer', 'user', 'assistant'])),
  content: optional(z.union([z.string(), z.array(contentPart)])),
  call_id: optional(z.string()),
  name: optional(z.string()),
  arguments: optional(z.string()),
  output: optional(z.union([z.string(), z.array(contentPart)])),
  summary: optional(z.array(contentPart)),
});

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
  seed: optional(z.int()),
  max_output_tokens: optional(z.int().min(1)),
  tools: optional(
    z.array(
      z.object({
        type: z.string(),
        name: optional(z.string()),
        description: optional(z.string()),
        parameters: optional(object),
        strict: optional(z.boolean()),
      }),
    ),
  ),
  tool_choice: toolChoiceField,
  parallel_tool_calls: optional(z.boolean()),
  text: optional(z.object({ format: formatField })),
  reasoning: optional(z.object({ effort: optional(z.string()) })),
  metadata: optional(z.record(z.string(), z.string())),
});

type Item = z.output<typeof item>;

export interface ResponseRequest {
  readonly job: ChatJob;
  readonly stream: boolean;
  /** What a response repeats of its request. */
  readonly echo: Readonly<Record<string, unknown>>;
}

/** Throws RequestError naming the field that is wrong or that would need stored state. */
export function parseResponse(body: unknown): ResponseRequest {
  const request = parse(shape, body);
  refuseState(request);
  const tools = (request.tools ?? []).flatMap(({ type, name, ...tool }): Tool[] =>
    type === 'function' && name !== undefined ? [toolOf({ name, ...tool })] : [],
  );
  const wantsLogprobs = request.include?.includes('message.output_text.logprobs') ?? false;
  return {
    stream: request.stream ?? false,
    echo: echoOf(request, tools),
    job: {
      model: request.model,
      messages: messagesOf(request.instructions, request.input),
      tools,
      toolChoice: toolChoiceOf(request.tool_choice, tools),
      parallelToolCalls: request.parallel_tool_calls ?? true,
      sampling: {
        temperature: request.temperature,
        topP: nonZero(request.top_p),
        seed: seedOf(request.seed),
      },
      defaults,
      maxTokens: request.max_output_tokens,
      stop: [],
      logprobs: wantsLogprobs || request.top_logprobs !== undefined ? (request.top_logprobs ?? 0) : undefined,
      n: 1,
      responseFormat: formatOf(request.text?.format, 'text.format'),
      thinking: thinkingOf(request.reasoning?.effort),
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
  if (request.background === true) {
    throw new RequestError('invalid', 'background: this server stores no responses; use "stream" instead', {
      param: 'background',
    });
  }
}

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
  truncation: 'disabled',
});

/** One assistant message per run of reasoning, text and calls, as chat templates want it. */
function messagesOf(instructions: string | undefined, input: string | readonly Item[]): Message[] {
  const messages: Message[] = instructions === undefined ? [] : [{ role: 'system', content: instructions }];
  if (typeof input === 'string') return [...messages, { role: 'user', content: input }];
  let open: OpenTurn | undefined;
  const close = (): void => {
    if (open) messages.push(closeTurn(open));
    open = undefined;
  };
  input.forEach((each, i) => {
    const param = `input[${i}]`;
    if (isAssistant(each)) {
      open ??= { reasoning: '', content: undefined, calls: [] };
      addToTurn(open, each, param);
      return;
    }
    close();
    messages.push(messageOf(each, param));
  });
  close();
  return messages;
}

interface OpenTurn {
  reasoning: string;
  content: string | undefined;
  readonly calls: ToolCall[];
}

const isAssistant = ({ type, role }: Item): boolean =>
  role === 'assistant' || type === 'reasoning' || type === 'function_call';

function addToTurn(turn: OpenTurn, each: Item, param: string): void {
  if (each.type === 'reasoning') {
    const parts = each.content !== undefined && each.content.length > 0 ? each.content : (each.summary ?? []);
    turn.reasoning += textOf(parts, `${param}.content`);
  } else if (each.type === 'function_call') {
    const { name, call_id: id, arguments: args } = each;
    if (name === undefined) throw new RequestError('invalid', `${param}.name: is missing`, { param });
    turn.calls.push({ id, type: 'function', function: { name, arguments: args ?? '{}' } });
  } else {
    turn.content = (turn.content ?? '') + textOf(each.content ?? '', `${param}.content`);
  }
}

const closeTurn = ({ reasoning, content, calls }: OpenTurn): Message => ({
  role: 'assistant',
  content: content ?? null,
  ...reasoningOf(reasoning),
  ...callsOf(calls),
});

function messageOf(each: Item, param: string): Message {
  if (each.type === 'function_call_output') {
    return {
      role: 'tool',
      content: textOf(each.output ?? '', `${param}.output`),
      ...(each.call_id === undefined ? {} : { tool_call_id: each.call_id }),
    };
  }
  if (each.role === undefined || (each.type !== undefined && each.type !== 'message')) {
    throw new RequestError('invalid', `${param}: items of type "${each.type ?? '?'}" are not supported`, {
      param,
    });
  }
  return { role: each.role, content: textOf(each.content ?? '', `${param}.content`) };
}
