// Requests of the Anthropic Messages API as jobs. https://docs.anthropic.com/en/api/messages

import { z } from 'zod';
import type { Message, Tool, ToolCall, ToolChoice } from '../../../chat/messages.ts';
import type { ConstraintSpec } from '../../../generate/guided/spec.ts';
import type { ChatJob } from '../../job.ts';
import { RequestError } from '../../problem.ts';
import {
  callsOf,
  checkChoice,
  nonZero,
  reasoningOf,
  refuseTool,
  stopOf,
  toolOf,
  topKField,
  topKOf,
} from '../fields.ts';
import { object, optional, parse } from '../zod.ts';
import { withoutBillingHeader } from './billing.ts';
import { type Block, block, contentText, serverToolText, textBlock, textOf } from './blocks.ts';
import { contextManagement, edited } from './context-edits.ts';

const outputFormat = optional(z.object({ type: z.literal('json_schema'), schema: object }));

const promptFields = {
  model: optional(z.string()),
  messages: z
    .array(
      z.object({
        role: z.enum(['user', 'assistant', 'system']),
        content: z.union([z.string(), z.array(block)]),
      }),
    )
    .min(1, 'must have at least one message'),
  system: optional(z.union([z.string(), z.array(textBlock)])),
  tools: optional(
    z.array(
      z.object({
        type: optional(z.string()),
        name: z.string().min(1),
        description: optional(z.string()),
        input_schema: optional(object),
        strict: optional(z.boolean()),
      }),
    ),
  ),
  tool_choice: optional(
    z.object({
      type: z.enum(['auto', 'any', 'tool', 'none']),
      name: optional(z.string()),
      disable_parallel_tool_use: optional(z.boolean()),
    }),
  ),
  thinking: optional(z.object({ type: z.string() })),
  /** Conversations that the service keeps. */
  thread: optional(z.unknown()),
  context_management: optional(contextManagement),
  mcp_servers: optional(z.array(z.unknown())),
  container: optional(z.unknown()),
  output_config: optional(z.object({ effort: optional(z.string()), format: outputFormat })),
  /** Where the format was in earlier versions of the API. */
  output_format: outputFormat,
};

const countShape = z.object(promptFields);
const shape = z.object({
  ...promptFields,
  max_tokens: z.int().min(1),
  stream: optional(z.boolean()),
  temperature: optional(z.number().min(0).max(1)),
  top_p: optional(z.number().min(0).max(1)),
  top_k: topKField,
  stop_sequences: optional(z.array(z.string()).max(64)),
});

type Prompt = z.output<typeof countShape>;

export interface MessagesRequest {
  readonly job: ChatJob;
  readonly stream: boolean;
}

/** Throws RequestError naming the field that is wrong. */
export function parseMessages(body: unknown): MessagesRequest {
  const request = parse(shape, body);
  return {
    stream: request.stream ?? false,
    job: {
      ...promptOf(request),
      sampling: {
        temperature: request.temperature,
        topP: nonZero(request.top_p),
        topK: topKOf(request.top_k),
      },
      defaults: { temperature: 1 },
      maxTokens: request.max_tokens,
      stop: stopOf(request.stop_sequences),
    },
  };
}

/** The job of counting a prompt's tokens. Throws RequestError naming the field that is wrong. */
export const parseCount = (body: unknown): ChatJob => ({
  ...promptOf(parse(countShape, body)),
  sampling: {},
  defaults: {},
  stop: [],
});

/** What needs a service behind the API: the answer would be another one without it. */
function refuseServices({ thread, mcp_servers: servers = [], container }: Prompt): void {
  if (thread !== undefined) {
    // Clients that keep the conversation themselves go on without a thread when they are told in these words.
    throw new RequestError('invalid', 'thread: this server keeps no conversations; send all messages', {
      param: 'thread',
      details: { error_code: 'thread_unsupported_request', unsupported: ['thread'] },
    });
  }
  const param = servers.length > 0 ? 'mcp_servers' : container !== undefined ? 'container' : undefined;
  if (param !== undefined) throw new RequestError('invalid', `${param}: is not supported`, { param });
}

function promptOf(request: Prompt): Omit<ChatJob, 'sampling' | 'defaults' | 'stop'> {
  refuseServices(request);
  const tools = toolsOf(request.tools ?? []);
  const turns = edited(request.messages, request.context_management?.edits);
  const messages = [...systemOf(request.system), ...turns.flatMap(messagesOf)];
  const last = messages.at(-1);
  const open = last?.role === 'assistant' && last.tool_calls === undefined;
  const prefill = open && typeof last.content === 'string' ? last.content : undefined;
  return {
    model: request.model,
    messages: prefill === undefined ? messages : messages.slice(0, -1),
    prefill,
    tools,
    toolChoice: checkChoice(choiceOf(request.tool_choice), tools),
    parallelToolCalls: request.tool_choice?.disable_parallel_tool_use !== true,
    n: 1,
    responseFormat: formatOf(request.output_config?.format ?? request.output_format),
    // Thinking is off unless a client turns it on, as in the API; only a prefilled answer leaves no room for it.
    thinking: request.thinking !== undefined && request.thinking.type !== 'disabled' && prefill === undefined,
    reasoningEffort: request.output_config?.effort,
  };
}

const formatOf = (
  format: { readonly schema: Readonly<Record<string, unknown>> } | undefined,
): ConstraintSpec | undefined => format && { kind: 'json_schema', schema: format.schema };

function systemOf(system: Prompt['system']): Message[] {
  const blocks =
    system === undefined ? [] : typeof system === 'string' ? [{ type: 'text', text: system }] : system;
  const texts = blocks
    .map((each, i) => withoutBillingHeader(textOf(each, `system[${i}]`)))
    .filter((text) => text !== '');
  return texts.length === 0 ? [] : [{ role: 'system', content: texts.join('\n\n') }];
}

/** Tools of the service whose API this is, which agents offer with every request and do without. */
const dispensable = /^(web_search|web_fetch|tool_search)/;

/** Tools that a client brings. Throws RequestError for others that a model could not use. */
const toolsOf = (tools: NonNullable<Prompt['tools']>): Tool[] =>
  tools.flatMap(({ type = 'custom', name, description, input_schema: parameters, strict }, i) => {
    if (type === 'custom') return [toolOf({ name, description, parameters, strict })];
    return dispensable.test(type) ? [] : refuseTool(type, `tools[${i}]`);
  });

function choiceOf(choice: Prompt['tool_choice']): ToolChoice {
  if (choice === undefined) return 'auto';
  if (choice.type === 'any') return 'required';
  if (choice.type !== 'tool') return choice.type;
  if (choice.name !== undefined) return { name: choice.name };
  throw new RequestError('invalid', 'tool_choice.name: is missing', { param: 'tool_choice.name' });
}

/** A user's message may hold results of several calls beside its text: each becomes a message of its own, before the text. */
function messagesOf({ role, content }: Prompt['messages'][number], i: number): Message[] {
  const param = `messages[${i}].content`;
  if (typeof content === 'string') return [{ role, content }];
  return role === 'assistant' ? [assistantOf(content, param)] : userOf(role, content, param);
}

function userOf(role: 'user' | 'system', blocks: readonly Block[], param: string): Message[] {
  const results: Message[] = [];
  const texts: string[] = [];
  blocks.forEach((each, i) => {
    if (each.type !== 'tool_result') {
      texts.push(textOf(each, `${param}[${i}]`));
      return;
    }
    results.push({
      role: 'tool',
      content: resultOf(each, `${param}[${i}].content`),
      ...(each.tool_use_id === undefined ? {} : { tool_call_id: each.tool_use_id }),
    });
  });
  return texts.length === 0 ? results : [...results, { role, content: texts.join('\n\n') }];
}

function resultOf({ content = '', is_error }: Block, param: string): string {
  const text = contentText(content, param);
  return is_error === true && text === '' ? 'error' : text;
}

function assistantOf(blocks: readonly Block[], param: string): Message {
  const texts: string[] = [];
  const calls: ToolCall[] = [];
  let reasoning = '';
  blocks.forEach((each, i) => {
    if (each.type === 'thinking') reasoning += each.thinking ?? '';
    else if (each.type === 'redacted_thinking') return;
    else if (each.type === 'tool_use') calls.push(callOf(each, `${param}[${i}]`));
    else if (serverToolText(each) !== undefined) texts.push(`${serverToolText(each)}\n`);
    else texts.push(textOf(each, `${param}[${i}]`));
  });
  return {
    role: 'assistant',
    content: texts.length === 0 ? null : texts.join(''),
    ...reasoningOf(reasoning),
    ...callsOf(calls),
  };
}

function callOf({ id, name, input = {} }: Block, param: string): ToolCall {
  if (name === undefined) throw new RequestError('invalid', `${param}.name: is missing`, { param });
  return { id, type: 'function', function: { name, arguments: input } };
}
