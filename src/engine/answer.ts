// An answer as events: text, reasoning and tool calls, of any model.

import { IngotError } from '../base/errors.ts';
import type { AnswerEvent } from '../chat/answer.ts';
import { type Message, withSystem } from '../chat/messages.ts';
import { type ChatRequest, type PreparedChat, prepareChat } from '../chat/prepare.ts';
import { StopMatcher } from '../generate/stop.ts';
import { encodeInSlices } from '../tokenizer/slices.ts';
import type { ChatOptions, GenerateStats, Model } from './types.ts';

/** What answering asks of a model. */
export type AnsweringModel = Pick<Model, 'info' | 'tokenizer' | 'generate'>;

export interface AnswerOptions extends ChatOptions, Omit<ChatRequest, 'messages' | 'tools'> {}

export interface AnswerStream extends AsyncIterable<AnswerEvent> {
  /** Complete when the stream has ended. */
  readonly stats: GenerateStats;
  /** Ended by a text of `stop`. */
  readonly stoppedBy: string | undefined;
}

/**
 * Answers `messages`. The prompt is rendered and what is wrong with it told at once; generation starts when the stream is
 * read, which can be done once.
 * @throws IngotError `unsupported` without a tokenizer or for a schema keyword that cannot be followed, `invalid_argument`
 *   for messages the template refuses.
 */
export async function answer(
  model: AnsweringModel,
  messages: readonly Message[],
  options: AnswerOptions = {},
): Promise<AnswerStream> {
  const { tokenizer } = model;
  if (!tokenizer) {
    throw new IngotError(
      'unsupported',
      `${model.info.name} came without a tokenizer, so it cannot answer messages`,
    );
  }
  const prepared = prepareChat(tokenizer, { ...options, messages: withSystem(messages, options.system) });
  const { signal } = options;
  const prompt = await encodeInSlices(tokenizer, prepared.text, { addSpecial: false, signal });
  const constraint = await prepared.constraint?.();
  const stream = model.generate(prompt, { ...options, ...(constraint ? { constraint } : {}) });
  const stop = new StopMatcher(options.stop ?? []);
  const pieces = tokenizer.stream({ keep: prepared.keep, continuation: (options.prefill ?? '') !== '' });
  return new Answer(stream.stats, () => texts(stream, pieces, stop), prepared);
}

interface Piece {
  readonly text: string;
  readonly stoppedBy: string | undefined;
}

async function* texts(
  ids: AsyncIterable<number>,
  decoder: { push(id: number): string; end(): string },
  stop: StopMatcher,
): AsyncGenerator<Piece, void, void> {
  for await (const id of ids) {
    const piece = stop.push(decoder.push(id));
    yield piece;
    if (piece.stoppedBy !== undefined) return;
  }
  const last = stop.push(decoder.end());
  yield last.stoppedBy === undefined ? { text: last.text + stop.flush(), stoppedBy: undefined } : last;
}

class Answer implements AnswerStream {
  readonly stats: GenerateStats;
  stoppedBy: string | undefined;
  readonly #pieces: () => AsyncGenerator<Piece>;
  readonly #prepared: PreparedChat;

  constructor(stats: GenerateStats, pieces: () => AsyncGenerator<Piece>, prepared: PreparedChat) {
    this.stats = stats;
    this.#pieces = pieces;
    this.#prepared = prepared;
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<AnswerEvent, void, void> {
    const parser = this.#prepared.parser();
    for await (const { text, stoppedBy } of this.#pieces()) {
      this.stoppedBy = stoppedBy;
      if (text !== '') yield* parser.push(text);
    }
    yield* parser.end();
  }
}
