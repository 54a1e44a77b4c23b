// A conversation as callers write it.

export type Role = 'system' | 'developer' | 'user' | 'assistant' | 'tool';

export interface ToolCall {
  readonly id?: string | undefined;
  readonly type?: 'function';
  readonly function: {
    readonly name: string;
    /** An object, or its JSON. */
    readonly arguments: Readonly<Record<string, unknown>> | string;
  };
}

/** A piece of a message's content; pieces are joined without anything between them. */
export interface TextPart {
  readonly type: 'text';
  readonly text: string;
}

export interface Message {
  readonly role: Role;
  readonly content: string | null | readonly TextPart[];
  /** What an assistant thought before this message; `reasoning` is another name for it. */
  readonly reasoning_content?: string | null | undefined;
  readonly reasoning?: string | null | undefined;
  /** Calls an assistant message makes. */
  readonly tool_calls?: readonly ToolCall[] | undefined;
  /** The call a tool message answers. */
  readonly tool_call_id?: string | undefined;
  readonly name?: string | undefined;
}

/** A message as a template is to get it: roles and fields may be the template's own. */
export interface PromptMessage extends Omit<Message, 'role'> {
  readonly role: string;
  /** JSON of the tools, where a template takes them in the system message. */
  readonly tools?: string | undefined;
}

/** A function the model may call; `parameters` is JSON Schema. */
export interface Tool {
  readonly type: 'function';
  readonly function: {
    readonly name: string;
    readonly description?: string | undefined;
    readonly parameters?: Readonly<Record<string, unknown>> | undefined;
    /** Arguments must validate: a call of this tool is held to the schema while it is generated. */
    readonly strict?: boolean | undefined;
  };
}

/** Whether and what an answer must call. */
export type ToolChoice = 'auto' | 'none' | 'required' | { readonly name: string };

/** `messages` with a system message first, unless they have one already or there is none to add. */
export const withSystem = (messages: readonly Message[], system: string | undefined): readonly Message[] =>
  system === undefined || messages.some(({ role }) => role === 'system')
    ? messages
    : [{ role: 'system', content: system }, ...messages];

/** `messages` after what every conversation with a model begins with. A system message of their own comes before that of the model. */
export function opened(
  messages: readonly Message[],
  opening: { readonly system?: string | undefined; readonly messages?: readonly Message[] | undefined } = {},
): readonly Message[] {
  const { system, messages: before = [] } = opening;
  const first = messages[0]?.role === 'system' ? 1 : 0;
  const whole =
    before.length === 0 ? messages : [...messages.slice(0, first), ...before, ...messages.slice(first)];
  return withSystem(whole, system);
}
