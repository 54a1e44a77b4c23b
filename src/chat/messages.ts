// A conversation as chat templates see it.

export type Role = 'system' | 'developer' | 'user' | 'assistant' | 'tool';

export interface ToolCall {
  readonly id?: string | undefined;
  readonly type?: 'function';
  readonly function: {
    readonly name: string;
    readonly arguments: Readonly<Record<string, unknown>> | string;
  };
}

export interface Message {
  readonly role: Role;
  readonly content: string | null;
  /** Calls an assistant message makes. */
  readonly tool_calls?: readonly ToolCall[] | undefined;
  /** The call a tool message answers. */
  readonly tool_call_id?: string | undefined;
  readonly name?: string | undefined;
}

/** A function the model may call; `parameters` is JSON Schema. */
export interface Tool {
  readonly type: 'function';
  readonly function: {
    readonly name: string;
    readonly description?: string | undefined;
    readonly parameters?: Readonly<Record<string, unknown>> | undefined;
  };
}

/** `messages` with a system message first, unless they have one already or there is none to add. */
export const withSystem = (messages: readonly Message[], system: string | undefined): readonly Message[] =>
  system === undefined || messages.some(({ role }) => role === 'system')
    ? messages
    : [{ role: 'system', content: system }, ...messages];
