// An answer as events: text, reasoning and tool calls, from any model. What the server and the AI SDK provider stand on.

import { IngotError } from '../base/errors.ts';
import type { AnswerEvent } from '../chat/answer.ts';
import type { Message, ToolChoice } from '../chat/messages.ts';
import type { ConstraintSpec } from '../generate/guided/spec.ts';
import type { ChatOptions, GenerateStats, Model } from './types.ts';

export interface AnswerOptions extends ChatOptions {
  /** Default `auto` when there are tools. */
  readonly toolChoice?: ToolChoice | undefined;
  /** More than one call in an answer. Default true. */
  readonly parallelToolCalls?: boolean | undefined;
  /** What the text of the answer must look like; reasoning before it is free. */
  readonly responseFormat?: ConstraintSpec | undefined;
  /** Think before answering, where the model's template can switch it. Default: the template's own. */
  readonly thinking?: boolean | undefined;
  /** Further variables for the template. */
  readonly templateVariables?: Readonly<Record<string, unknown>> | undefined;
}

export interface AnswerStream extends AsyncIterable<AnswerEvent> {
  /** Complete when the stream has ended. */
  readonly stats: GenerateStats;
  /** The prompt, rendered and encoded. */
  readonly promptTokens: readonly number[];
  /** Calls begun so far. */
  readonly toolCalls: number;
}

/**
 * Answers `messages`. The prompt is rendered and checked at once, generation starts when the stream is read.
 * @throws IngotError `unsupported` without a tokenizer or for a schema keyword that cannot be followed, `invalid_argument`
 *   for messages the template refuses.
 */
export async function answer(
  model: Model,
  _messages: readonly Message[],
  _options: AnswerOptions = {},
): Promise<AnswerStream> {
  throw new IngotError('unsupported', `${model.info.name}: answers as events come with the next commit`);
}

/** The ids of the rendered prompt, as `answer` would send it. */
export async function promptTokens(
  model: Model,
  _messages: readonly Message[],
  _options: AnswerOptions = {},
): Promise<readonly number[]> {
  throw new IngotError('unsupported', `${model.info.name}: answers as events come with the next commit`);
}
