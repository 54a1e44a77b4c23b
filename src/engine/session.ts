// A conversation that remembers: asks, keeps what was said, calls the tools that the model wants and tells it their results.

import type { AnswerEvent } from '../chat/answer.ts';
import { CollectedAnswer } from '../chat/collect.ts';
import type { Message, Tool, ToolCall } from '../chat/messages.ts';
import { type AnsweringModel, answer, answerOf } from './answer.ts';
import { checkMessages, checkModel, checkOptions, checkText, refuse } from './check.ts';
import { isValidator, jsonSchemaOf, type SchemaInput, validated } from './schema-input.ts';
import type { Answer, ChatOptions } from './types.ts';

/** A function the model may call. */
export interface SessionTool {
  readonly description?: string | undefined;
  /** What its arguments look like; default: it has none. */
  readonly parameters?: SchemaInput | undefined;
  /** Hold each call to the schema while it is generated. Default: as far as the schema can be followed, when it is called at all. */
  readonly strict?: boolean | undefined;
  /** What it returns is told to the model: a text as it is, anything else as JSON. What it throws is told as an error. */
  readonly execute: (args: never, context: { readonly signal: AbortSignal | undefined }) => unknown;
}

export interface SessionOptions extends Omit<ChatOptions, 'tools' | 'signal' | 'prefill'> {
  readonly tools?: Readonly<Record<string, SessionTool>> | undefined;
  /** What was said before. */
  readonly messages?: readonly Message[] | undefined;
  /** Answers to one question at most, tool calls between them. Default 8. */
  readonly maxSteps?: number | undefined;
}

export interface AskOptions
  extends Pick<ChatOptions, 'signal' | 'maxTokens' | 'temperature' | 'responseFormat'> {
  /** The answer is JSON that fits; it is in `value`. */
  readonly schema?: SchemaInput | undefined;
}

/** The last answer to a question, and how it came about. */
export interface SessionAnswer extends Answer {
  /** Of `schema`; undefined without one. */
  readonly value: unknown;
  /** All answers and results of tools since the question. */
  readonly added: readonly Message[];
  /** Oldest messages of the conversation that the model did not see. */
  readonly dropped: number;
}

/** What happens while a question is answered. */
export type SessionEvent =
  | AnswerEvent
  | { readonly kind: 'toolResult'; readonly id: string; readonly name: string; readonly content: string };

export class Session {
  readonly #model: AnsweringModel;
  readonly #options: SessionOptions;
  #messages: Message[];
  #busy = false;

  /** Without `fullContext`, a conversation that outgrows the context loses its oldest turns; `dropped` tells. */
  constructor(model: AnsweringModel, options: SessionOptions = {}) {
    checkModel(model);
    checkOptions('session', options);
    const { messages = [], tools = {} } = options;
    if (messages.length > 0) checkMessages(messages);
    for (const [name, tool] of Object.entries(tools)) {
      if (typeof tool?.execute !== 'function') refuse(`tools.${name}.execute`, 'a function', tool?.execute);
    }
    this.#model = model;
    this.#options = options;
    this.#messages = [...messages];
  }

  /** What was said, oldest first; a copy. */
  get messages(): readonly Message[] {
    return [...this.#messages];
  }

  /** Forgets what was said. */
  reset(): void {
    this.#messages = [];
  }

  /**
   * The answer to a question, after as many calls of tools as it takes.
   * @throws IngotError as `Model.ask` does, and `invalid_argument` while another question is answered. The conversation is then as it
   *   was before the question.
   */
  async ask(question: string, options: AskOptions = {}): Promise<SessionAnswer> {
    const events = this.stream(question, options);
    for (;;) {
      const { done, value } = await events.next();
      if (done === true) return value;
    }
  }

  /** The same as events, as they come; what the generator returns is the answer. */
  async *stream(
    question: string,
    options: AskOptions = {},
  ): AsyncGenerator<SessionEvent, SessionAnswer, void> {
    checkText('question', question);
    checkOptions('ask', options);
    if (this.#busy) refuse('question', 'asked when the one before is answered', question);
    this.#busy = true;
    const before = this.#messages;
    this.#messages = [...before, { role: 'user', content: question }];
    let finished = false;
    try {
      const result = yield* this.#steps(before.length + 1, options);
      finished = true;
      return result;
    } finally {
      this.#busy = false;
      if (!finished) this.#messages = before;
    }
  }

  async *#steps(from: number, options: AskOptions): AsyncGenerator<SessionEvent, SessionAnswer, void> {
    const { maxSteps = 8 } = this.#options;
    const chat = await this.#chatOptions(options);
    let dropped = 0;
    for (let step = 1; ; step++) {
      // The last answer may not call: it would go unanswered.
      const toolChoice = step === maxSteps && maxSteps > 1 ? 'none' : step > 1 ? 'auto' : chat.toolChoice;
      const stream = await answer(this.#model, this.#messages, { ...chat, toolChoice });
      const collected = new CollectedAnswer();
      for await (const event of stream) {
        collected.add(event);
        yield event;
      }
      const said = answerOf(collected, stream);
      dropped = Math.max(dropped, said.dropped);
      this.#messages.push(said.message);
      if (said.endReason !== 'toolCalls' || step === maxSteps) {
        const value =
          options.schema === undefined ? undefined : await validated(options.schema, JSON.parse(said.text));
        return { ...said, value, dropped, added: this.#messages.slice(from) };
      }
      for (const call of said.toolCalls) yield await this.#call(call, options.signal);
    }
  }

  /** Calls a tool; whatever goes wrong is told to the model, which may try again. */
  async #call(
    { id = '', function: { name, arguments: given } }: ToolCall,
    signal: AbortSignal | undefined,
  ): Promise<SessionEvent> {
    const content = await this.#resultOf(name, String(given), signal);
    signal?.throwIfAborted();
    this.#messages.push({ role: 'tool', tool_call_id: id, name, content });
    return { kind: 'toolResult', id, name, content };
  }

  async #resultOf(name: string, json: string, signal: AbortSignal | undefined): Promise<string> {
    const { tools = {} } = this.#options;
    const tool = Object.hasOwn(tools, name) ? tools[name] : undefined;
    if (tool === undefined)
      return `error: there is no tool ${name}; there are: ${Object.keys(tools).join(', ')}`;
    try {
      const args = await validated(tool.parameters, JSON.parse(json));
      const result = await tool.execute(args as never, { signal });
      return typeof result === 'string' ? result : (JSON.stringify(result) ?? 'done');
    } catch (error) {
      return `error: ${error instanceof Error ? error.message : String(error)}`;
    }
  }

  async #chatOptions({ schema, ...options }: AskOptions): Promise<ChatOptions> {
    const { tools = {}, messages: _messages, maxSteps: _steps, ...rest } = this.#options;
    const described = await Promise.all(
      Object.entries(tools).map(async ([name, { description, parameters, strict }]): Promise<Tool> => {
        const schemaOf = await jsonSchemaOf(
          parameters ?? { type: 'object', properties: {} },
          `tools.${name}.parameters`,
        );
        return {
          type: 'function',
          function: { name, description, parameters: schemaOf as Readonly<Record<string, unknown>>, strict },
        };
      }),
    );
    const form =
      schema === undefined
        ? undefined
        : {
            kind: 'json_schema' as const,
            schema: await jsonSchemaOf(schema, 'schema'),
            strict: isValidator(schema),
          };
    return {
      fullContext: 'dropOldest',
      ...rest,
      ...options,
      ...(form === undefined ? {} : { responseFormat: form }),
      tools: described,
    };
  }
}
