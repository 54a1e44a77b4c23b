// Items of the Responses API's input as messages: one assistant message per run of reasoning, text and calls, as templates want it.

import { z } from 'zod';
import type { Message, ToolCall } from '../../../chat/messages.ts';
import { RequestError } from '../../problem.ts';
import { callsOf, reasoningOf } from '../fields.ts';
import { object, optional } from '../zod.ts';
import { textOf } from './messages.ts';
import { flatName } from './responses-tools.ts';

const contentPart = z.object({ type: z.string(), text: optional(z.string()), refusal: optional(z.string()) });
const output = z.union([z.string(), z.array(z.looseObject({ type: optional(z.string()) })), object]);

/** Items are told apart by hand: clients send back, without a type, what they got. */
export const item = z.looseObject({
  type: optional(z.string()),
  id: optional(z.string()),
  role: optional(z.enum(['system', 'developer', 'user', 'assistant'])),
  content: optional(z.union([z.string(), z.array(contentPart)])),
  call_id: optional(z.string()),
  name: optional(z.string()),
  namespace: optional(z.string()),
  arguments: optional(z.union([z.string(), object])),
  input: optional(z.string()),
  action: optional(object),
  operation: optional(object),
  output: optional(output),
  summary: optional(z.array(contentPart)),
});

export type Item = z.output<typeof item>;

/** Calls of tools that the agent itself runs, with the name a model is told and the field that holds what was asked. */
const calls: Readonly<Record<string, (each: Item) => ToolCall['function'] | undefined>> = {
  function_call: ({ name, namespace, arguments: args }) =>
    name === undefined ? undefined : { name: flatName(name, namespace), arguments: args ?? '{}' },
  custom_tool_call: ({ name, namespace, input }) =>
    name === undefined ? undefined : { name: flatName(name, namespace), arguments: { input: input ?? '' } },
  tool_search_call: ({ arguments: args }) => ({ name: 'tool_search', arguments: args ?? '{}' }),
  local_shell_call: ({ action }) => ({ name: 'local_shell', arguments: action ?? {} }),
  shell_call: ({ action }) => ({ name: 'shell', arguments: action ?? {} }),
  apply_patch_call: ({ operation, input }) => ({
    name: 'apply_patch',
    arguments: operation ?? { input: input ?? '' },
  }),
};

/** What a service did in an earlier turn, of which its item tells: a part of what the assistant said. */
const done =
  /^(web_search|file_search|code_interpreter|image_generation|computer|mcp)_call$|^mcp_list_tools$/;

/** Conversations that were cut short elsewhere, in a form that only the service reads. */
const unreadable = new Set(['compaction', 'compaction_summary', 'context_compaction']);

/** Throws RequestError for items that cannot be told to a model. */
export function messagesOf(instructions: string | undefined, input: string | readonly Item[]): Message[] {
  const messages: Message[] = instructions === undefined ? [] : [{ role: 'system', content: instructions }];
  if (typeof input === 'string') return [...messages, { role: 'user', content: input }];
  let open: OpenTurn | undefined;
  const close = (): void => {
    if (open) messages.push(closeTurn(open));
    open = undefined;
  };
  input.forEach((each, i) => {
    const param = `input[${i}]`;
    if (each.type === 'additional_tools' || each.type === 'compaction_trigger') return;
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

const isAssistant = ({ type = '', role }: Item): boolean =>
  role === 'assistant' || type === 'reasoning' || Object.hasOwn(calls, type) || done.test(type);

function addToTurn(turn: OpenTurn, each: Item, param: string): void {
  const { type = '' } = each;
  if (type === 'reasoning') {
    const parts =
      Array.isArray(each.content) && each.content.length > 0 ? each.content : (each.summary ?? []);
    turn.reasoning += textOf(parts, `${param}.content`);
  } else if (Object.hasOwn(calls, type)) {
    const made = calls[type]?.(each);
    if (made === undefined) throw new RequestError('invalid', `${param}.name: is missing`, { param });
    turn.calls.push({ id: each.call_id ?? each.id, type: 'function', function: made });
  } else if (done.test(type)) {
    turn.content = `${turn.content ?? ''}[${type.replace(/_call$/, '')} ${JSON.stringify(each.action ?? each.name ?? '')}]\n`;
  } else {
    turn.content = (turn.content ?? '') + textOf(each.content ?? '', `${param}.content`);
  }
}

const closeTurn = ({ reasoning, content, calls: made }: OpenTurn): Message => ({
  role: 'assistant',
  content: content ?? null,
  ...reasoningOf(reasoning),
  ...callsOf(made),
});

function messageOf(each: Item, param: string): Message {
  const { type, role, content, call_id: id } = each;
  if (type !== undefined && /_output$/.test(type)) {
    const text = outputText(each, `${param}.output`);
    return { role: 'tool', content: text, ...(id === undefined ? {} : { tool_call_id: id }) };
  }
  if (type !== undefined && unreadable.has(type)) {
    return {
      role: 'system',
      content: '[An earlier part of this conversation was summarised in a form that is not readable here.]',
    };
  }
  if (type === 'item_reference') {
    throw new RequestError(
      'invalid',
      `${param}: this server stores no responses, so there is no item ${each.id ?? ''} to refer to; send the item itself`,
      { param },
    );
  }
  if (role === undefined || (type !== undefined && type !== 'message')) {
    throw new RequestError('invalid', `${param}: items of type "${type ?? '?'}" are not supported`, {
      param,
    });
  }
  return { role, content: textOf(content ?? '', `${param}.content`) };
}

/** What a tool gave back: a text, texts, or an object that is told as JSON. Throws RequestError for pictures and files. */
function outputText(each: Item, param: string): string {
  const { output: given } = each;
  if (given === undefined) {
    // The tools that were found stand beside the output, and are functions to know.
    const { tools } = each as { readonly tools?: unknown };
    return tools === undefined ? '' : JSON.stringify(tools);
  }
  if (typeof given === 'string') return given;
  if (!Array.isArray(given)) return JSON.stringify(given);
  const parts = z.array(contentPart).safeParse(given);
  return parts.success ? textOf(parts.data, param) : JSON.stringify(given);
}
