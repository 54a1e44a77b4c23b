// The OpenAI completions API: a text goes on. https://platform.openai.com/docs/api-reference/completions

import { z } from 'zod';
import {
  type AnswerEnd,
  type AnswerHead,
  type AnswerPart,
  type ChoicePart,
  type CompletionJob,
  type EndReason,
  type TokenLogprob,
  totalUsage,
  type Usage,
} from '../../job.ts';
import { RequestError } from '../../problem.ts';
import { Message } from '../assemble.ts';
import { stopOf } from '../fields.ts';
import { optional, parse } from '../zod.ts';
import { usageOf } from './chat.ts';
import { formatField, formatOf, samplingFields, samplingOf } from './sampling.ts';

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
  max_tokens: optional(z.int().min(1)),
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
  /** Texts put before the answers, by prompt. */
  readonly echo: readonly string[] | undefined;
}

/** Throws RequestError naming the field that is wrong or not supported. */
export function parseCompletion(body: unknown): CompletionRequest {
  const request = parse(shape, body);
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
  if (request.echo === true) {
    if (request.logprobs !== undefined) refuse('echo', 'log probabilities of the prompt are not supported');
    if (prompts.some((prompt) => typeof prompt !== 'string')) refuse('echo', 'needs prompts that are texts');
  }
  return {
    stream: request.stream ?? false,
    includeUsage: request.stream_options?.include_usage ?? false,
    echo: request.echo === true ? prompts.filter((prompt) => typeof prompt === 'string') : undefined,
    job: {
      model: request.model,
      prompts,
      sampling: samplingOf(request),
      // The API's own default, which is meant: it keeps a forgotten limit cheap.
      maxTokens: request.max_tokens ?? 16,
      ignoreEos: request.ignore_eos,
      stop: stopOf(request.stop),
      logprobs: request.logprobs,
      n,
      responseFormat: formatOf(request.response_format, 'response_format'),
    },
  };
}

const finishReason = (reason: EndReason): string => (reason === 'length' ? 'length' : 'stop');

const logprobsOf = (list: readonly TokenLogprob[], offset: number) => {
  let at = offset;
  return {
    tokens: list.map(({ token }) => token),
    token_logprobs: list.map(({ logprob }) => logprob),
    top_logprobs: list.map(({ top }) =>
      Object.fromEntries(top.map(({ token, logprob }) => [token, logprob])),
    ),
    text_offset: list.map(({ token }) => {
      at += token.length;
      return at - token.length;
    }),
  };
};

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
  };
}

/** Chunks of streamed completions. Choice numbers count answers within prompts. */
export class CompletionChunks {
  readonly #head: AnswerHead;
  readonly #request: CompletionRequest;
  readonly #ends: AnswerEnd[] = [];
  readonly #offsets = new Map<number, number>();

  constructor(head: AnswerHead, request: CompletionRequest) {
    this.#head = head;
    this.#request = request;
  }

  push({ choice, part }: ChoicePart): object[] {
    const { job, echo } = this.#request;
    const before = this.#offsets.get(choice);
    const echoed = before === undefined ? (echo?.[Math.floor(choice / job.n)] ?? '') : '';
    const text = echoed + textOf(part);
    this.#offsets.set(choice, (before ?? 0) + text.length);
    if (part.kind === 'end') {
      this.#ends[choice] = part;
      return [this.#chunk(choice, text, null, finishReason(part.reason))];
    }
    if (text === '' && part.logprobs.length === 0) return [];
    const logprobs = part.logprobs.length > 0 ? logprobsOf(part.logprobs, before ?? 0) : null;
    return [this.#chunk(choice, text, logprobs, null)];
  }

  end(): object[] {
    if (!this.#request.includeUsage) return [];
    return [{ ...this.#base(), choices: [], usage: usageOf(usage(this.#ends, this.#request.job.n)) }];
  }

  #chunk(index: number, text: string, logprobs: object | null, finish: string | null): object {
    return {
      ...this.#base(),
      choices: [{ text, index, logprobs, finish_reason: finish }],
      ...(this.#request.includeUsage ? { usage: null } : {}),
    };
  }

  #base(): object {
    const { id, created, model } = this.#head;
    return { id, object: 'text_completion', created, model };
  }
}

/** The whole answer of a request that does not stream. */
export function completionResponse(
  head: AnswerHead,
  request: CompletionRequest,
  parts: readonly ChoicePart[],
): object {
  const messages = Message.byChoice(parts);
  const ends = messages.flatMap(({ end }) => (end ? [end] : []));
  return {
    id: head.id,
    object: 'text_completion',
    created: head.created,
    model: head.model,
    choices: messages.map((message, index) => ({
      text: (request.echo?.[Math.floor(index / request.job.n)] ?? '') + message.text,
      index,
      logprobs: message.logprobs.length > 0 ? logprobsOf(message.logprobs, 0) : null,
      finish_reason: finishReason(message.end?.reason ?? 'end'),
    })),
    usage: usageOf(usage(ends, request.job.n)),
  };
}
