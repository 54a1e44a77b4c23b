// The OpenAI completions API: a text goes on. https://platform.openai.com/docs/api-reference/completions

import { z } from 'zod';
import type { EndReason } from '../../../engine/types.ts';
import {
  type AnswerEnd,
  type AnswerHead,
  type AnswerPart,
  type ChoicePart,
  type CompletionJob,
  type Echo,
  type EchoedToken,
  type SpelledLogprob,
  totalUsage,
  type Usage,
} from '../../job.ts';
import { RequestError } from '../../problem.ts';
import { AnswerMessage } from '../assemble.ts';
import { refuseUnfollowed, stopOf } from '../fields.ts';
import { optional, parse } from '../zod.ts';
import { usageOf } from './chat.ts';
import {
  defaults,
  formatField,
  formOf,
  grammarFields,
  limitField,
  limitOf,
  samplingFields,
  samplingOf,
} from './sampling.ts';

const tokens = z.array(z.int().min(0)).min(1);

/** One text, several, one list of token ids, or several. */
export const promptField = z.union([z.string(), tokens, z.array(z.string()).min(1), z.array(tokens).min(1)]);

export const promptsOf = (prompt: z.output<typeof promptField>): (string | number[])[] => {
  if (typeof prompt === 'string') return [prompt];
  return prompt.every((each) => typeof each === 'number') ? [prompt] : prompt;
};

const shape = z.object({
  ...samplingFields,
  prompt: promptField,
  ...grammarFields,
  max_tokens: limitField(0),
  logprobs: optional(z.int().min(0).max(20)),
  echo: optional(z.boolean()),
  suffix: optional(z.string()),
  best_of: optional(z.int().min(1)),
  response_format: formatField,
});

/** Prompts of one request at most: each is a generation of its own. */
const MAX_PROMPTS = 64;

export interface CompletionRequest {
  readonly job: CompletionJob;
  readonly stream: boolean;
  readonly includeUsage: boolean;
}

export interface CompletionHead extends AnswerHead {
  /** What is put before the answers, by prompt. */
  readonly echoes: readonly Echo[] | undefined;
}

/** Throws RequestError naming the field that is wrong or not supported. */
export function parseCompletion(body: unknown): CompletionRequest {
  const request = parse(shape, body);
  refuseUnfollowed(body as Readonly<Record<string, unknown>>);
  const refuse = (param: string, message: string): never => {
    throw new RequestError('invalid', `${param}: ${message}`, { param });
  };
  const prompts = promptsOf(request.prompt);
  const n = request.n ?? 1;
  if (request.suffix) refuse('suffix', 'filling in before a suffix is not supported');
  if (request.best_of !== undefined && request.best_of !== n) refuse('best_of', 'must equal n');
  if (prompts.length * n > MAX_PROMPTS) {
    refuse('prompt', `${prompts.length} prompts with ${n} answers each are more than ${MAX_PROMPTS} at once`);
  }
  return {
    stream: request.stream ?? false,
    includeUsage: request.stream_options?.include_usage ?? false,
    job: {
      model: request.model,
      prompts,
      echo: request.echo,
      sampling: samplingOf(request),
      defaults,
      // The API's own default, which is meant: it keeps a forgotten limit cheap.
      maxTokens: limitOf(request.max_tokens ?? 16),
      ignoreEos: request.ignore_eos,
      stop: stopOf(request.stop),
      logprobs: request.logprobs,
      n,
      responseFormat: formOf(request),
    },
  };
}

const finishReason = (reason: EndReason): string => (reason === 'length' ? 'length' : 'stop');

/** Where the tokens of a choice begin in its text, in UTF-16 units; bytes tell, since a character may be of several tokens. */
class TextOffsets {
  #at: number;
  #decoder = new TextDecoder();

  constructor(echo: Echo | undefined) {
    this.#at = echo?.text.length ?? 0;
  }

  /** Those of a prompt's tokens, after which it goes on at the end of the prompt. */
  ofEcho({ text, tokens = [] }: Echo): number[] {
    this.#at = 0;
    const counted = tokens.map(({ bytes, shown }) => this.next(shown ? bytes : []));
    // A space that a tokenizer put in front is in the first token and not in the text.
    const surplus = Math.max(0, this.#at - text.length);
    this.#at = text.length;
    this.#decoder = new TextDecoder();
    return counted.map((at) => Math.max(0, at - surplus));
  }

  next(bytes: readonly number[]): number {
    const start = this.#at;
    this.#at += this.#decoder.decode(Uint8Array.from(bytes), { stream: true }).length;
    return start;
  }
}

/** A token as a key: part of a character is spelled as bytes, as OpenAI does, since all of them decode to the same text. */
const spelled = ({ token, bytes }: Pick<SpelledLogprob, 'token' | 'bytes'>): string =>
  token.includes('\ufffd')
    ? `bytes:${bytes.map((byte) => `\\x${byte.toString(16).padStart(2, '0')}`).join('')}`
    : token;

const logprobsOf = (list: readonly (SpelledLogprob | EchoedToken)[], offsets: readonly number[]) => ({
  tokens: list.map(spelled),
  token_logprobs: list.map(({ logprob }) => logprob ?? null),
  // The token itself is always among them, so there may be one more than was asked for.
  top_logprobs: list.map((own) =>
    own.logprob === undefined
      ? null
      : Object.fromEntries([...own.top, own].map((each) => [spelled(each), each.logprob])),
  ),
  text_offset: offsets,
});

const textOf = (part: AnswerPart): string =>
  part.kind === 'end' ? '' : part.events.map((event) => (event.kind === 'text' ? event.text : '')).join('');

/** The usage of a request: every prompt counts once, every answer counts. */
function usage(ends: readonly AnswerEnd[], n: number): Usage {
  const byPrompt = Array.from({ length: Math.ceil(ends.length / n) }, (_, i) =>
    totalUsage(ends.slice(i * n, (i + 1) * n)),
  );
  const sum = (pick: (u: Usage) => number): number => byPrompt.reduce((total, u) => total + pick(u), 0);
  return {
    promptTokens: sum((u) => u.promptTokens),
    cachedTokens: sum((u) => u.cachedTokens),
    generatedTokens: sum((u) => u.generatedTokens),
    reasoningTokens: sum((u) => u.reasoningTokens),
    experts: totalUsage(ends).experts,
  };
}

/** Chunks of streamed completions. Choice numbers count answers within prompts. */
export class CompletionChunks {
  readonly #head: CompletionHead;
  readonly #request: CompletionRequest;
  readonly #ends: AnswerEnd[] = [];
  readonly #offsets = new Map<number, TextOffsets>();

  constructor(head: CompletionHead, request: CompletionRequest) {
    this.#head = head;
    this.#request = request;
  }

  push({ choice, part }: ChoicePart): object[] {
    const echo = this.#head.echoes?.[Math.floor(choice / this.#request.job.n)];
    const known = this.#offsets.get(choice);
    const offsets = known ?? new TextOffsets(echo);
    this.#offsets.set(choice, offsets);
    const chunks = known === undefined && echo !== undefined ? [this.#echoChunk(choice, echo, offsets)] : [];
    const text = textOf(part);
    if (part.kind === 'end') {
      this.#ends[choice] = part;
      const logprobs = this.#asked ? logprobsOf([], []) : null;
      chunks.push(this.#chunk(choice, text, logprobs, finishReason(part.reason)));
    } else if (text !== '' || part.logprobs.length > 0) {
      const places = part.logprobs.map(({ bytes }) => offsets.next(bytes));
      const logprobs = this.#asked ? logprobsOf(part.logprobs, places) : null;
      chunks.push(this.#chunk(choice, text, logprobs, null));
    }
    return chunks;
  }

  end(): object[] {
    if (!this.#request.includeUsage) return [];
    return [{ ...this.#base(), choices: [], usage: usageOf(usage(this.#ends, this.#request.job.n)) }];
  }

  get #asked(): boolean {
    return this.#request.job.logprobs !== undefined;
  }

  #echoChunk(choice: number, echo: Echo, offsets: TextOffsets): object {
    const logprobs = echo.tokens ? logprobsOf(echo.tokens, offsets.ofEcho(echo)) : null;
    return this.#chunk(choice, echo.text, logprobs, null);
  }

  #chunk(index: number, text: string, logprobs: object | null, finish: string | null): object {
    return {
      ...this.#base(),
      choices: [{ text, index, logprobs, finish_reason: finish }],
      ...(this.#request.includeUsage ? { usage: null } : {}),
    };
  }

  #base(): object {
    const { id, created, model, fingerprint } = this.#head;
    return { id, object: 'text_completion', created, model, system_fingerprint: fingerprint };
  }
}

function wholeLogprobs(generated: readonly SpelledLogprob[], echo: Echo | undefined): object {
  const offsets = new TextOffsets(echo);
  const before = echo?.tokens ?? [];
  const places = echo?.tokens ? offsets.ofEcho(echo) : [];
  return logprobsOf(
    [...before, ...generated],
    [...places, ...generated.map(({ bytes }) => offsets.next(bytes))],
  );
}

/** The whole answer of a request that does not stream. */
export function completionResponse(
  head: CompletionHead,
  request: CompletionRequest,
  parts: readonly ChoicePart[],
): object {
  const messages = AnswerMessage.byChoice(parts);
  const ends = messages.flatMap(({ end }) => (end ? [end] : []));
  return {
    id: head.id,
    object: 'text_completion',
    created: head.created,
    model: head.model,
    system_fingerprint: head.fingerprint,
    choices: messages.map((message, index) => {
      const echo = head.echoes?.[Math.floor(index / request.job.n)];
      return {
        text: (echo?.text ?? '') + message.text,
        index,
        logprobs: request.job.logprobs === undefined ? null : wholeLogprobs(message.logprobs, echo),
        finish_reason: finishReason(message.end?.reason ?? 'end'),
      };
    }),
    usage: usageOf(usage(ends, request.job.n)),
  };
}
