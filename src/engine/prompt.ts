// From messages or a text to the prompt of a generation, in tokens. The library, the server and the AI SDK all come through here:
// what is too long, refused by a template or not to be held by a grammar is told before anything is generated.

import { IngotError } from '../base/errors.ts';
import { cacheKinds } from '../cache/kinds.ts';
import type { AnswerParser } from '../chat/answer.ts';
import type { Message } from '../chat/messages.ts';
import { type ChatRequest, type PreparedChat, prepareChat } from '../chat/prepare.ts';
import type { TokenConstraint } from '../generate/constraint.ts';
import { compileConstraint } from '../generate/guided/compile.ts';
import type { ConstraintSpec } from '../generate/guided/spec.ts';
import { encodeInSlices, fewestTokens } from '../tokenizer/slices.ts';
import type { Tokenizer } from '../tokenizer/tokenizer.ts';
import type { FullContext, Model } from './types.ts';

/** What making a prompt asks of a model. */
export type PromptModel = Pick<Model, 'info' | 'tokenizer'>;

/** What a generation starts from. */
export interface Prompt {
  readonly tokens: readonly number[];
  /** Special tokens that the parser must see. */
  readonly keep: ReadonlySet<number>;
  /** The answer goes on from a text, and not from the opening of a turn. */
  readonly continuation: boolean;
  /** A parser of one answer. */
  parser(): AnswerParser;
  /** A constraint of one answer, which its generation uses up; undefined when its form is free. */
  constraint(): Promise<TokenConstraint | undefined>;
  /** Oldest messages that were left out because they did not fit. */
  readonly dropped: number;
}

export interface PromptOptions extends ChatRequest {
  /** Default `error`. */
  readonly fullContext?: FullContext | undefined;
  /** Tokens that the answer is to have room for when turns are left out; default: a quarter of the context. */
  readonly maxTokens?: number | undefined;
  readonly signal?: AbortSignal | undefined;
  /** The rendering of all messages, when it is there already. */
  readonly prepared?: PreparedChat | undefined;
}

/**
 * Renders and encodes a chat.
 * @throws IngotError `unsupported` without a tokenizer or template, or for a schema that cannot be held; `invalid_argument` for
 *   messages the template refuses; `context_overflow` with the sizes.
 */
export async function chatPrompt(model: PromptModel, request: PromptOptions): Promise<Prompt> {
  const { tokenizer } = model;
  const { signal, prefill = '' } = request;
  const { prepared, tokens, dropped } = await fitInto(model, tokenizer, request);
  const { keep, beginning } = prepared;
  const constraint = async (): Promise<TokenConstraint | undefined> => {
    signal?.throwIfAborted();
    const made = await prepared.constraint?.(signal);
    if (made && beginning !== '') follow(made, tokenizer, beginning);
    return made;
  };
  return { tokens, keep, continuation: prefill !== '', parser: prepared.parser, constraint, dropped };
}

/** Tokens of a chat's prompt, whether or not it fits. */
export async function countTokens({ tokenizer }: PromptModel, request: PromptOptions): Promise<number> {
  const { text, literal } = request.prepared ?? prepareChat(tokenizer, request);
  const { signal } = request;
  return (await encodeInSlices(tokenizer, text, { addSpecial: false, literal, signal })).length;
}

/** Encodes a text that is to go on, or takes its tokens. */
export async function textPrompt(
  model: PromptModel,
  input: string | readonly number[],
  options: {
    readonly responseFormat?: ConstraintSpec | undefined;
    readonly signal?: AbortSignal | undefined;
  } = {},
): Promise<Prompt> {
  const { responseFormat: format, signal } = options;
  const { tokenizer } = model;
  return {
    tokens: await encodeInput(model, input, { signal }),
    keep: new Set(),
    continuation: true,
    parser: plainText,
    constraint: async () =>
      format === undefined ? undefined : compileConstraint(format, tokenizer, { signal }),
    dropped: 0,
  };
}

/**
 * The tokens of a text, as a model expects them. Reading stops where the context is full: a text of megabytes is refused in the
 * time that the context takes. @throws IngotError `context_overflow`, the signal's reason.
 */
export async function encodeInput(
  model: PromptModel,
  input: string | readonly number[],
  options: {
    readonly addSpecial?: boolean;
    readonly signal?: AbortSignal | undefined;
    /** What does not fit is left out instead. */
    readonly cut?: boolean | undefined;
  } = {},
): Promise<readonly number[]> {
  const limit = countedUpTo(model);
  const { cut = false, ...encoding } = options;
  const fewest = typeof input === 'string' && !cut ? fewestTokens(model.tokenizer, input) : 0;
  if (fewest > limit) throw contextOverflow(model, fewest);
  const tokens =
    typeof input === 'string' ? await encodeInSlices(model.tokenizer, input, { ...encoding, limit }) : input;
  const longest = longestPrompt(model.info);
  if (tokens.length <= longest) return tokens;
  if (cut) return tokens.slice(0, longest);
  throw contextOverflow(model, tokens.length);
}

/** Tokens that a prompt may have: windows that rotate have no end. */
export const longestPrompt = ({
  contextLength,
  kv,
}: Pick<PromptModel['info'], 'contextLength' | 'kv'>): number =>
  kv !== undefined && cacheKinds[kv].rotates ? Number.POSITIVE_INFINITY : contextLength;

/** Tokens that are counted of a prompt: it helps to know how much too long it is, but not how many megabytes. */
const countedUpTo = ({ info }: Pick<PromptModel, 'info'>): number =>
  longestPrompt(info) + Math.max(1024, info.contextLength / 4);

/** What to say of a prompt that does not fit: only what can be done. */
export function contextOverflow(model: Pick<PromptModel, 'info'>, tokens: number): IngotError {
  const { name, contextLength, trainedContextLength } = model.info;
  const most = countedUpTo(model);
  const size = tokens > most ? `more than ${Math.floor(most)}` : String(tokens);
  const remedy =
    contextLength < trainedContextLength
      ? `shorten it, or load the model with a contextLength of up to ${trainedContextLength} (--context-length)`
      : 'that is all the model was trained for: shorten it';
  return new IngotError(
    'context_overflow',
    `the prompt has ${size} tokens and the context of ${name} holds ${contextLength}; ${remedy}`,
    { details: { promptTokens: tokens, contextLength } },
  );
}

interface Fitted {
  readonly prepared: PreparedChat;
  readonly tokens: readonly number[];
  /** Of `tokens`, or what there are at least when the text's length alone is too much. */
  readonly count: number;
  readonly dropped: number;
}

async function fitInto(model: PromptModel, tokenizer: Tokenizer, request: PromptOptions): Promise<Fitted> {
  const { signal, fullContext = 'error', messages } = request;
  const longest = longestPrompt(model.info);
  const most = Math.floor(model.info.contextLength / 4);
  const room = fullContext === 'error' ? longest : longest - Math.min(request.maxTokens ?? most, most);
  const limit = countedUpTo(model);
  const attempt = async (kept: readonly Message[]): Promise<Fitted> => {
    const known = kept === messages ? request.prepared : undefined;
    const prepared = known ?? prepareChat(tokenizer, { ...request, messages: kept });
    const { text, literal } = prepared;
    const fewest = fewestTokens(tokenizer, text);
    const tokens =
      fewest > limit
        ? []
        : await encodeInSlices(tokenizer, text, { addSpecial: false, literal, signal, limit });
    return {
      prepared,
      tokens,
      count: Math.max(fewest, tokens.length),
      dropped: messages.length - kept.length,
    };
  };
  const whole = await attempt(messages);
  if (whole.count <= room) return whole;
  if (fullContext === 'error') throw contextOverflow(model, whole.count);
  const shorter = shortened(messages);
  let found: Fitted | undefined;
  // The longest rest that fits, by halving: each attempt takes no longer than a full context.
  for (let [low, high] = [0, shorter.length - 1]; low <= high; ) {
    const middle = (low + high) >> 1;
    const fitted = await attempt(shorter[middle] ?? messages);
    if (fitted.count <= room) [found, high] = [fitted, middle - 1];
    else low = middle + 1;
  }
  if (found) return found;
  throw contextOverflow(model, whole.count);
}

/** `messages` without their oldest turn, without the two oldest, … What the system said stays, and so does the last turn. */
function shortened(messages: readonly Message[]): (readonly Message[])[] {
  const leading = messages.findIndex(({ role }) => role !== 'system' && role !== 'developer');
  const head = messages.slice(0, Math.max(0, leading));
  // A turn begins with what the user says: an answer or the result of a call without its question would mean nothing.
  const starts = messages.flatMap(({ role }, i) => (role === 'user' && i > leading ? [i] : []));
  return starts.map((start) => [...head, ...messages.slice(start)]);
}

const plainText = (): AnswerParser => ({
  push: (text) => [{ kind: 'text', text }],
  end: () => [],
});

/** A constraint holds for the whole answer, of which the prompt has the beginning already. */
function follow(constraint: TokenConstraint, tokenizer: Tokenizer, beginning: string): void {
  try {
    for (const id of tokenizer.encode(beginning, { addSpecial: false })) constraint.accept(id);
  } catch (cause) {
    constraint.dispose();
    throw new IngotError(
      'invalid_argument',
      'the beginning of the answer does not fit the form that the answer must have',
      { cause },
    );
  }
}
