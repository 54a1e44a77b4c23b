// One generation in the scheduler: what was asked for, how far it is, and what it holds.

import { IngotError } from '../base/errors.ts';
import type { CacheSequence } from '../cache/contract.ts';
import type { TokenConstraint } from './constraint.ts';
import { type GeneratedToken, TOP_LOGPROBS } from './runner.ts';
import { resolveSampling, type Sampling, type SamplingOptions } from './sampling.ts';
import { TokenQueue } from './token-queue.ts';

export type StopReason = 'eos' | 'stop' | 'length' | 'aborted';

export interface GenerateOptions extends SamplingOptions {
  /** Tokens to generate at most; default: as many as the context has room for. */
  readonly maxTokens?: number | undefined;
  /** Go on after an end-of-text token. */
  readonly ignoreEos?: boolean | undefined;
  /** Alternatives per token in `GeneratedToken.top`; 0 (default) to TOP_LOGPROBS. */
  readonly logprobs?: number | undefined;
  /** Says before each token which ones may come. It belongs to this generation, which disposes it. */
  readonly constraint?: TokenConstraint | undefined;
  /** Ends the generation by rejecting with the signal's reason. */
  readonly signal?: AbortSignal | undefined;
}

/** Told as a generation goes on. Times in milliseconds. */
export interface GenerateProgress {
  promptTokens: number;
  /** Prompt tokens whose keys and values an earlier generation had left. */
  cachedTokens: number;
  generatedTokens: number;
  /** From the call to the first step. */
  queueMs: number;
  prefillMs: number;
  decodeMs: number;
  stopReason: StopReason | undefined;
}

export interface TimedToken {
  readonly token: GeneratedToken;
  /** When it was sampled, as performance.now(). */
  readonly at: number;
}

/** Limits of the model that a request must fit. */
export interface JobLimits {
  readonly contextLength: number;
  /** Generations go on beyond the context, which is a window. */
  readonly rotates?: boolean | undefined;
  readonly vocabSize: number;
}

let jobs = 0;

export class Job {
  /** Ascending in the order of arrival. */
  readonly order = jobs++;
  readonly prompt: readonly number[];
  readonly sampling: Sampling;
  /** Alternatives to report with each token. */
  readonly top: number;
  readonly ignoreEos: boolean;
  readonly constraint: TokenConstraint | undefined;
  /** Tokens to generate. */
  readonly limit: number;
  readonly output = new TokenQueue<TimedToken>();
  readonly progress: GenerateProgress;
  readonly enqueuedAt = performance.now();
  /** The prompt and what has been sampled and read since. */
  readonly tokens: number[];
  /** What layers keep of it while it runs. */
  sequence: CacheSequence | undefined;
  /** Row of counts, and its place among the sequences that run; undefined while it waits. */
  slot: number | undefined;
  /** True until its first step: its row of counts has the tokens of another generation. */
  fresh = true;
  /** Samples in steps that have not ended. */
  inFlight = 0;
  /** The sample submitted last: its step, and its place in it. */
  lastSample: { readonly step: number; readonly index: number } | undefined;
  /** Its constraint is not ready for the next sample. */
  preparing = false;
  startedAt: number | undefined;
  stopReason: StopReason | undefined;
  ended = false;

  /** @throws IngotError `context_overflow`, `invalid_argument`. */
  constructor(
    prompt: readonly number[],
    options: GenerateOptions,
    progress: GenerateProgress,
    limits: JobLimits,
  ) {
    this.limit = checkPrompt(prompt, options.maxTokens, limits);
    this.top = checkTop(options.logprobs);
    this.sampling = resolveSampling(options, limits.vocabSize);
    this.ignoreEos = options.ignoreEos ?? false;
    this.constraint = options.constraint;
    this.prompt = prompt;
    this.tokens = [...prompt];
    this.progress = progress;
    progress.promptTokens = prompt.length;
  }

  /** Tokens sampled, read or not. */
  get sampled(): number {
    return this.tokens.length - this.prompt.length + this.inFlight;
  }

  /** Positions that are not in a step yet. The last may be of a token that is not known yet. */
  get remaining(): number {
    return this.prompt.length + this.sampled - (this.sequence?.length ?? 0);
  }
}

/** Tokens that may be generated. */
function checkPrompt(
  prompt: readonly number[],
  maxTokens: number | undefined,
  { contextLength, rotates = false, vocabSize }: JobLimits,
): number {
  checkTokens(prompt, vocabSize);
  if (prompt.length > contextLength && !rotates) {
    throw new IngotError(
      'context_overflow',
      `the prompt has ${prompt.length} tokens and the context holds ${contextLength}: shorten it, or load the model with a larger contextLength`,
      { details: { promptTokens: prompt.length, contextLength } },
    );
  }
  if (maxTokens !== undefined && (!Number.isInteger(maxTokens) || maxTokens < 1)) {
    throw new IngotError('invalid_argument', `maxTokens must be an integer of at least 1, got ${maxTokens}`);
  }
  // There is always room, and an answer that never ends is not what is meant by saying nothing.
  if (rotates) return maxTokens ?? contextLength;
  // The last token generated is never run, so it needs no room.
  return Math.min(maxTokens ?? Number.POSITIVE_INFINITY, contextLength - prompt.length + 1);
}

/** @throws IngotError `invalid_argument` naming the first token that is not in the vocabulary, or when there is none. */
export function checkTokens(tokens: readonly number[], vocabSize: number): void {
  if (tokens.length === 0)
    throw new IngotError('invalid_argument', 'the prompt is empty: give at least one token');
  const bad = tokens.findIndex((id) => !Number.isInteger(id) || id < 0 || id >= vocabSize);
  if (bad < 0) return;
  throw new IngotError(
    'invalid_argument',
    `token ${tokens[bad]} at position ${bad} is outside the vocabulary of ${vocabSize} tokens`,
    { details: { position: bad, token: tokens[bad], vocabSize } },
  );
}

/** How many alternatives are to be reported. */
export function checkTop(logprobs: number | undefined): number {
  if (logprobs === undefined) return 0;
  if (Number.isInteger(logprobs) && logprobs >= 0 && logprobs <= TOP_LOGPROBS) return logprobs;
  throw new IngotError(
    'invalid_argument',
    `logprobs must be an integer from 0 to ${TOP_LOGPROBS}, got ${logprobs}`,
  );
}
