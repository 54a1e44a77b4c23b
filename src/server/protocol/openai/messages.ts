// Messages and tools of the OpenAI chat API as Ingot's own.

import { z } from 'zod';
import type { Message, Tool, ToolChoice } from '../../../chat/messages.ts';
import { RequestError } from '../../problem.ts';
import { callsOf, checkChoice, reasoningOf, refuseContent } from '../fields.ts';
import { object, optional } from '../zod.ts';

const part = z.object({ type: z.string(), text: optional(z.string()), refusal: optional(z.string()) });
const content = optional(z.union([z.string(), z.array(part)]));

const toolCall = z.object({
  id: optional(z.string()),
  function: z.object({
    name: z.string(),
    arguments: optional(z.union([z.string(), object])),
  }),
});

export const messageFields = z.array(
  z.object({
    role: z.enum(['system', 'developer', 'user', 'assistant', 'tool', 'function']),
    content,
    name: optional(z.string()),
    tool_calls: optional(z.array(toolCall)),
    tool_call_id: optional(z.string()),
    reasoning_content: optional(z.string()),
    reasoning: optional(z.string()),
  }),
);

type RequestMessage = z.output<typeof messageFields>[number];

/** Throws RequestError for content that is not text. */
export const messagesOf = (messages: readonly RequestMessage[]): Message[] =>
  messages.map((message, i) => ({
    role: message.role === 'function' ? 'tool' : message.role,
    content: message.content === undefined ? null : textOf(message.content, `messages[${i}].content`),
    ...(message.name === undefined ? {} : { name: message.name }),
    ...(message.tool_call_id === undefined ? {} : { tool_call_id: message.tool_call_id }),
    ...reasoningOf(message.reasoning_content ?? message.reasoning),
    ...callsOf(
      message.tool_calls?.map((call) => ({
        ...(call.id === undefined ? {} : { id: call.id }),
        type: 'function' as const,
        function: { name: call.function.name, arguments: call.function.arguments ?? '{}' },
      })),
    ),
  }));

const textTypes = new Set(['text', 'input_text', 'output_text', 'refusal', 'summary_text', 'reasoning_text']);

/** The text of content parts, joined. Throws RequestError for parts that are something else. */
export function textOf(
  parts: string | readonly { type: string; text?: string | undefined; refusal?: string | undefined }[],
  param: string,
): string {
  if (typeof parts === 'string') return parts;
  const texts = parts.map((each, i) => {
    const text = each.text ?? each.refusal;
    if (textTypes.has(each.type) && text !== undefined) return text;
    return refuseContent(each.type, `${param}[${i}]`);
  });
  return texts.join('');
}

export const toolChoiceField = optional(
  z.union([
    z.enum(['auto', 'none', 'required']),
    z.object({
      type: z.string(),
      name: optional(z.string()),
      function: optional(z.object({ name: z.string() })),
    }),
  ]),
);

/** Throws RequestError when the choice names a tool that the request does not have. */
export function toolChoiceOf(choice: z.output<typeof toolChoiceField>, tools: readonly Tool[]): ToolChoice {
  if (choice === undefined) return 'auto';
  if (typeof choice === 'string') return checkChoice(choice, tools);
  const name = choice.function?.name ?? choice.name;
  if (choice.type !== 'function' || name === undefined) {
    throw new RequestError('invalid', `tool_choice: type "${choice.type}" is not supported; use "function"`, {
      param: 'tool_choice',
    });
  }
  return checkChoice({ name }, tools);
}
