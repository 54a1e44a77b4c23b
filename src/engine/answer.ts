// An answer while it is generated: tokens become text, stop texts end it, the parser of the model's format makes events of it.
// The one such path: `model.chat` shows its text, the server and the AI SDK write its events in their own words.

import { IngotError } from '../base/errors.ts';
import type { AnswerEvent, AnswerParser } from '../chat/answer.ts';
import { CollectedAnswer } from '../chat/collect.ts';
import { type Message, opened } from '../chat/messages.ts';
import { prepareChat } from '../chat/prepare.ts';
import type { TokenConstraint } from '../generate/constraint.ts';
import { StopMatcher } from '../generate/stop.ts';
import {
  checkChatOptions,
  checkMessages,
  checkModel,
  checkOptions,
  checkText,
  isTextOption,
} from './check.ts';
import { chatPrompt, type Prompt, type PromptModel, type PromptOptions, textPrompt } from './prompt.ts';
import { newStats } from './stats.ts';
import type {
  Answer,
  ChatOptions,
  CompleteOptions,
  EndReason,
  GeneratedToken,
  GenerateStats,
  Model,
  TextOptions,
  TextStream,
} from './types.ts';

/** What answering asks of a model. */
export type AnsweringModel = Pick<Model, 'info' | 'tokenizer' | 'generate'>;

/** What a token brought, or what was held back until the answer was over: then there is no token. */
export interface AnswerPart {
  readonly events: readonly AnswerEvent[];
  readonly token: number | undefined;
  /** The token's probability and the alternatives to it, when `logprobs` asked for them. */
  readonly logprob: GeneratedToken | undefined;
}

/** A prompt, and the constraint of this one answer to it. */
export interface Ready {
  readonly prompt: Prompt;
  readonly constraint: TokenConstraint | undefined;
}

/** One answer, to be read once: as events, or as parts when tokens matter. */
export class AnswerStream implements AsyncIterable<AnswerEvent> {
  readonly #model: AnsweringModel;
  readonly #ready: () => Promise<Ready>;
  readonly #options: TextOptions;
  #stats: GenerateStats = newStats();
  #reader: AnswerReader | undefined;
  #dropped = 0;
  #begun = false;

  /** Generation starts when the answer is read; `ready` is called then. */
  constructor(model: AnsweringModel, ready: () => Promise<Ready>, options: TextOptions) {
    this.#model = model;
    this.#ready = ready;
    this.#options = options;
  }

  /** Complete when the answer has ended. */
  get stats(): GenerateStats {
    return this.#stats;
  }
  /** The text of `stop` that ended the answer. */
  get stoppedBy(): string | undefined {
    return this.#reader?.stopText;
  }
  /** Tokens of reasoning so far. */
  get reasoningTokens(): number {
    return this.#reader?.reasoningTokens ?? 0;
  }
  /** Oldest messages that were left out because they did not fit. */
  get dropped(): number {
    return this.#dropped;
  }
  /** Meaningful when the answer has ended. */
  get endReason(): EndReason {
    if (this.stoppedBy !== undefined) return 'stopText';
    if (this.#stats.stopReason === 'length') return 'length';
    return (this.#reader?.calls ?? 0) > 0 ? 'toolCalls' : 'end';
  }

  /** A part for every token, and one for what was held back at the end. */
  async *parts(): AsyncGenerator<AnswerPart, void, void> {
    if (this.#begun)
      throw new IngotError('invalid_argument', 'this answer was read already; ask again for another');
    this.#begun = true;
    const { prompt, constraint } = await this.#ready();
    this.#dropped = prompt.dropped;
    const { stop = [], constraint: own, ...options } = this.#options;
    const reader = new AnswerReader(prompt.parser(), stop);
    this.#reader = reader;
    if (options.maxTokens === 0) {
      // Some APIs have answers without tokens; the engine has no such generations.
      constraint?.dispose();
      this.#stats = { ...newStats(), promptTokens: prompt.tokens.length, stopReason: 'length' };
      return;
    }
    const stream = this.#model.generate(prompt.tokens, { ...options, constraint: constraint ?? own });
    this.#stats = stream.stats;
    const decoder = this.#model.tokenizer.stream({ keep: prompt.keep, continuation: prompt.continuation });
    for await (const id of stream) {
      const events = reader.token(decoder.push(id));
      const logprob = options.logprobs === undefined ? undefined : stream.stats.logprobs.at(-1);
      yield { events, token: id, logprob };
      if (reader.stopText !== undefined) break;
    }
    const rest = reader.end(decoder.end());
    if (rest.length > 0) yield { events: rest, token: undefined, logprob: undefined };
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<AnswerEvent, void, void> {
    for await (const { events } of this.parts()) yield* events;
  }
}

/**
 * Answers `messages`. The prompt is made, and what is wrong with it told, before this resolves; generation starts when the answer
 * is read, which can be done once.
 * @throws IngotError `unsupported` without a tokenizer or for a schema that cannot be held, `invalid_argument` for an argument that
 *   is wrong or messages the template refuses, `context_overflow`.
 */
export async function answer(
  model: AnsweringModel,
  messages: readonly Message[],
  options: ChatOptions = {},
): Promise<AnswerStream> {
  checkModel(model);
  const ready = await readyChat(model, prepareAnswer(model, messages, options));
  return new AnswerStream(model, async () => ready, generateOptions(model, options));
}

/** Checks the arguments and renders the prompt: all that can be wrong before anything is encoded. */
export function prepareAnswer(
  model: PromptModel,
  messages: readonly Message[],
  options: ChatOptions,
): PromptOptions {
  checkMessages(messages);
  checkChatOptions(options);
  const { defaults } = model.info;
  const request = {
    ...options,
    maxTokens: options.maxTokens ?? defaults?.maxTokens,
    messages: opened(messages, { ...defaults, system: options.system ?? defaults?.system }),
  };
  return { ...request, prepared: prepareChat(model.tokenizer, request) };
}

/** A prompt and the constraint of one answer to it. */
export async function readyChat(model: PromptModel, request: PromptOptions): Promise<Ready> {
  const prompt = await chatPrompt(model, request);
  return { prompt, constraint: await prompt.constraint() };
}

/** Those options that are of the generation, and not of the prompt; what they do not say, the model's defaults do. */
export const generateOptions = (
  { info }: Pick<AnsweringModel, 'info'>,
  options: ChatOptions,
): TextOptions => ({
  ...answerDefaults(info),
  ...Object.fromEntries(
    Object.entries(options).filter(([name, value]) => isTextOption(name) && value !== undefined),
  ),
});

/** How long answers of a model are and what ends them, where a call does not say. */
export const answerDefaults = ({ defaults }: AnsweringModel['info']): TextOptions => ({
  ...(defaults?.maxTokens === undefined ? {} : { maxTokens: defaults.maxTokens }),
  ...(defaults?.stop === undefined ? {} : { stop: defaults.stop }),
});

/** The prompt of a conversation as text. */
export const renderChat = (model: PromptModel, messages: readonly Message[], options: ChatOptions): string =>
  prepareAnswer(model, messages, options).prepared?.text ?? '';

/** The text of the answer to `messages`: what is wrong with them is told at once, and not when the stream is read. */
export function chatText(
  model: AnsweringModel,
  messages: readonly Message[],
  options: ChatOptions,
): AnswerText {
  const request = prepareAnswer(model, messages, options);
  return new AnswerText(
    new AnswerStream(model, () => readyChat(model, request), generateOptions(model, options)),
  );
}

/** The text that follows `text`. */
export function completeText(model: AnsweringModel, text: string, options: CompleteOptions): AnswerText {
  checkText('text', text);
  checkOptions('complete', options);
  const { responseFormat, ...rest } = options;
  const { info, tokenizer } = model;
  const ready = async () => {
    const prompt = await textPrompt({ info, tokenizer }, text, { responseFormat, signal: options.signal });
    return { prompt, constraint: await prompt.constraint() };
  };
  return new AnswerText(new AnswerStream(model, ready, generateOptions(model, rest)));
}

/** A question alone is a conversation of one message. */
export const conversationOf = (question: string | readonly Message[]): readonly Message[] =>
  typeof question === 'string' ? [{ role: 'user', content: question }] : question;

/** The text of an answer as a stream of its own; what else the answer holds is collected. */
export class AnswerText implements TextStream {
  readonly #stream: AnswerStream;
  readonly #collected = new CollectedAnswer();

  constructor(stream: AnswerStream) {
    this.#stream = stream;
  }

  get stats(): GenerateStats {
    const { stats, stoppedBy } = this.#stream;
    return stoppedBy === undefined ? stats : { ...stats, stopReason: 'stop' };
  }
  get dropped(): number {
    return this.#stream.dropped;
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<string, void, void> {
    for await (const event of this.#stream) {
      this.#collected.add(event);
      if (event.kind === 'text') yield event.text;
    }
  }

  async whole(): Promise<Answer> {
    for await (const event of this.#stream) this.#collected.add(event);
    return answerOf(this.#collected, this.#stream);
  }
}

/** A whole answer from what was collected of it. */
export function answerOf(collected: CollectedAnswer, stream: AnswerStream): Answer {
  const { text, reasoning } = collected;
  const toolCalls = collected.calls.map(({ id, name, json }) => ({
    id,
    type: 'function' as const,
    function: { name, arguments: json === '' ? '{}' : json },
  }));
  return {
    text,
    reasoning,
    toolCalls,
    endReason: stream.endReason,
    stoppedBy: stream.stoppedBy,
    dropped: stream.dropped,
    stats: stream.stats,
    message: {
      role: 'assistant',
      content: text,
      ...(reasoning === '' ? {} : { reasoning_content: reasoning }),
      ...(toolCalls.length === 0 ? {} : { tool_calls: toolCalls }),
    },
  };
}

/** Text of tokens -> events, with stop texts applied and reasoning counted. */
class AnswerReader {
  readonly #parser: AnswerParser;
  readonly #stop: StopMatcher;
  #thinking = false;
  calls = 0;
  reasoningTokens = 0;
  stopText: string | undefined;

  constructor(parser: AnswerParser, stops: readonly string[]) {
    this.#parser = parser;
    this.#stop = new StopMatcher(stops);
  }

  /** The events that the next token's text completes. */
  token(piece: string): readonly AnswerEvent[] {
    const events = this.#push(piece);
    if (this.#thinking) this.reasoningTokens++;
    return events;
  }

  end(piece: string): readonly AnswerEvent[] {
    const events = this.stopText === undefined ? [...this.#push(piece)] : [];
    if (this.stopText === undefined) events.push(...this.#parse(this.#stop.flush()));
    events.push(...this.#note(this.#parser.end()));
    return events;
  }

  #push(piece: string): readonly AnswerEvent[] {
    const { text, stoppedBy } = this.#stop.push(piece);
    this.stopText = stoppedBy;
    return this.#parse(text);
  }

  #parse(text: string): readonly AnswerEvent[] {
    return text === '' ? [] : this.#note(this.#parser.push(text));
  }

  #note(events: readonly AnswerEvent[]): readonly AnswerEvent[] {
    for (const { kind } of events) {
      this.#thinking = kind === 'reasoning';
      if (kind === 'toolCall') this.calls++;
    }
    return events;
  }
}
