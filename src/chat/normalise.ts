// Messages as templates take them: one text per message, arguments as the template writes them, roles it knows.

import type { Message, PromptMessage, ToolCall } from './messages.ts';

/** A message in the words of templates. */
export interface TemplateMessage {
  readonly role: string;
  readonly content: string;
  readonly reasoning_content?: string | undefined;
  readonly thinking?: string | undefined;
  readonly tool_calls?: readonly TemplateCall[] | undefined;
  readonly tool_call_id?: string | undefined;
  readonly name?: string | undefined;
  readonly tools?: string | undefined;
}

export interface TemplateCall {
  readonly id: string;
  readonly type: 'function';
  readonly function: { readonly name: string; readonly arguments: unknown };
}

/** The text of a message. */
export const textOf = (content: Message['content']): string =>
  typeof content === 'string' ? content : (content ?? []).map(({ text }) => text).join('');

/** What a template's text says of the messages it can take. */
interface Traits {
  readonly developer: boolean;
  readonly system: boolean;
  /** Arguments are put between other texts, so they must be text themselves. */
  readonly argumentsAsText: boolean;
  readonly thinking: boolean;
  readonly shortIds: boolean;
}

const concatenated =
  /[+~]\s*\w+(\[['"]function['"]\]|\.function)?(\[['"]arguments['"]\]|\.arguments)\s*([+~}-]|$)/;

function traitsOf(template: string): Traits {
  return {
    developer: template.includes('developer'),
    system: !/system role (is )?not supported/i.test(template),
    argumentsAsText: concatenated.test(template) && !/arguments is (not )?(string|mapping)/.test(template),
    thinking: /\.thinking\b|\[['"]thinking['"]\]/.test(template),
    shortIds: /\.id\s*\|\s*length\s*!=\s*9|id\|length != 9/.test(template),
  };
}

/** Messages for a template with this source. */
export function normaliseMessages(
  messages: readonly PromptMessage[],
  template: string,
): readonly TemplateMessage[] {
  const traits = traitsOf(template);
  const names = new Map<string, string>();
  const made = messages.map((message, i): TemplateMessage => {
    const { role, content, tool_call_id: callId, name, tool_calls: toolCalls, tools } = message;
    const reasoning = message.reasoning_content ?? message.reasoning ?? undefined;
    const calls = toolCalls?.map((call, j) => templateCall(call, `call_${i}_${j}`, traits));
    for (const call of calls ?? []) names.set(call.id, call.function.name);
    const id = callId === undefined ? undefined : idFor(callId, traits);
    return {
      role: role === 'developer' && !traits.developer ? 'system' : role,
      content: textOf(content),
      ...(reasoning
        ? { reasoning_content: reasoning, ...(traits.thinking ? { thinking: reasoning } : {}) }
        : {}),
      ...(calls && calls.length > 0 ? { tool_calls: calls } : {}),
      ...(id === undefined ? {} : { tool_call_id: id, name: name ?? names.get(id) }),
      ...(name === undefined ? {} : { name }),
      ...(tools === undefined ? {} : { tools }),
    };
  });
  return traits.system ? made : withoutSystem(made);
}

function templateCall(
  { id, function: { name, arguments: given } }: ToolCall,
  newId: string,
  traits: Traits,
): TemplateCall {
  const args = traits.argumentsAsText ? argumentText(given) : argumentObject(given);
  return { id: idFor(id ?? newId, traits), type: 'function', function: { name, arguments: args } };
}

export const argumentText = (given: ToolCall['function']['arguments']): string =>
  typeof given === 'string' ? given || '{}' : JSON.stringify(given);

/** Arguments as an object; as they are when they are no JSON of one. */
export function argumentObject(given: ToolCall['function']['arguments']): unknown {
  if (typeof given !== 'string') return given;
  try {
    const parsed: unknown = JSON.parse(given || '{}');
    return typeof parsed === 'object' && parsed !== null ? parsed : given;
  } catch {
    return given;
  }
}

/** Some templates refuse ids that are not nine letters and digits: equal ids stay equal. */
function idFor(id: string, traits: Traits): string {
  if (!traits.shortIds || /^[A-Za-z0-9]{9}$/.test(id)) return id;
  let hash = 0xcbf29ce484222325n;
  for (const c of id) hash = ((hash ^ BigInt(c.codePointAt(0) ?? 0)) * 0x100000001b3n) & 0xffffffffffffffffn;
  return hash.toString(36).padStart(9, '0').slice(-9);
}

/** System messages at the head of the first message of the user. */
function withoutSystem(messages: readonly TemplateMessage[]): readonly TemplateMessage[] {
  const system = messages.filter(({ role }) => role === 'system').map(({ content }) => content);
  const others = messages.filter(({ role }) => role !== 'system');
  if (system.length === 0) return others;
  const [first, ...rest] = others;
  if (first?.role !== 'user') return [{ role: 'user', content: system.join('\n\n') }, ...others];
  return [{ ...first, content: [...system, first.content].join('\n\n') }, ...rest];
}
