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
    function_call: optional(z.object({ name: z.string(), arguments: optional(z.string()) })),
    reasoning_content: optional(z.string()),
    reasoning: optional(z.string()),
  }),
);

type RequestMessage = z.output<typeof messageFields>[number];

/** Throws RequestError for content that is not text. */
export const messagesOf = (messages: readonly RequestMessage[]): Message[] =>
  messages.map((message, i) => ({
    role: message.role === 'function' ? 'tool' : message.role,
    content: contentOf(message, `messages[${i}].content`),
    ...(message.name === undefined ? {} : { name: message.name }),
    ...(message.tool_call_id === undefined ? {} : { tool_call_id: message.tool_call_id }),
    ...reasoningOf(message.reasoning_content ?? message.reasoning),
    ...callsOf(
      [
        ...(message.tool_calls ?? []),
        ...(message.function_call ? [{ function: message.function_call }] : []),
      ].map((call) => ({
        ...('id' in call && call.id !== undefined ? { id: call.id } : {}),
        type: 'function' as const,
        function: { name: call.function.name, arguments: call.function.arguments ?? '{}' },
      })),
    ),
  }));

/** What an assistant said may be nothing, and so may the result of a call; whoever else speaks says something. */
function contentOf({ role, content }: RequestMessage, param: string): string | null {
  if (content !== undefined) return textOf(content, param);
  if (role === 'assistant') return null;
  if (role === 'tool' || role === 'function') return '';
  throw new RequestError('invalid', `${param}: is missing`, { param });
}

/**
 * A last message of the assistant is the beginning of the answer, as llama.cpp and other APIs have it, unless the request says no.
 * Throws RequestError when it says yes and there is none.
 */
export function continued(
  messages: readonly Message[],
  wanted: boolean | undefined,
): { readonly messages: readonly Message[]; readonly prefill: string | undefined } {
  const last = messages.at(-1);
  const open =
    last?.role === 'assistant' && last.tool_calls === undefined && typeof last.content === 'string';
  if (wanted === true && !open) {
    throw new RequestError(
      'invalid',
      'continue_final_message: the last message is no text of the assistant',
      {
        param: 'continue_final_message',
      },
    );
  }
  if (wanted === false || !open || messages.length === 1) return { messages, prefill: undefined };
  return { messages: messages.slice(0, -1), prefill: String(last.content) };
}

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
      namespace: optional(z.string()),
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
