// What all protocols have in common: a job is what a request asks for, a part is a piece of what comes back. Converters turn
// requests into jobs and parts into responses; nothing here knows a protocol or a model.

import type { AnswerEvent } from '../chat/answer.ts';
import type { Message, Tool, ToolChoice } from '../chat/messages.ts';
import type { EndReason, FullContext, Pooling } from '../engine/types.ts';
import type { ExpertUse } from '../experts/use.ts';
import type { ConstraintSpec } from '../generate/guided/spec.ts';
import type { SamplingOptions } from '../generate/sampling.ts';

/** What every generation may set. */
export interface GenerationJob {
  /** Undefined takes the server's first model. */
  readonly model: string | undefined;
  /** What the request says of sampling. */
  readonly sampling: SamplingOptions;
  /** What its API does where the request and the model's makers say nothing. */
  readonly defaults: SamplingOptions;
  /** 0 generates nothing. */
  readonly maxTokens?: number | undefined;
  /** Tokens of prompt and answer together, where that is less than the model's context. */
  readonly contextLength?: number | undefined;
  /** Go on after the model's end of text. */
  readonly ignoreEos?: boolean | undefined;
  readonly stop: readonly string[];
  /** Alternatives per token; undefined gives no log probabilities at all. */
  readonly logprobs?: number | undefined;
  /** Answers to the same prompt. */
  readonly n: number;
  /** What the text of an answer must look like. */
  readonly responseFormat?: ConstraintSpec | undefined;
}

export interface ChatJob extends GenerationJob {
  readonly messages: readonly Message[];
  readonly tools: readonly Tool[];
  readonly toolChoice: ToolChoice;
  readonly parallelToolCalls: boolean;
  /** Whether the model should think first, where its template has such a switch. */
  readonly thinking?: boolean | undefined;
  readonly reasoningEffort?: string | undefined;
  /** The answer begins with this text, which is part of the prompt. */
  readonly prefill?: string | undefined;
  /** What to do with a conversation that does not fit; default: refuse it. */
  readonly fullContext?: FullContext | undefined;
  /** Further variables for the chat template. */
  readonly templateOptions?: Readonly<Record<string, unknown>> | undefined;
}

export interface CompletionJob extends GenerationJob {
  readonly prompts: readonly (string | readonly number[])[];
  /** Answers begin with their prompts; with `logprobs`, the tokens of these are told, too. */
  readonly echo?: boolean | undefined;
}

export interface EmbeddingJob {
  readonly model: string | undefined;
  readonly inputs: readonly (string | readonly number[])[];
  readonly pooling?: Pooling | undefined;
  /** Numbers of each vector: the first of them, scaled to length 1. Default: all. */
  readonly dimensions?: number | undefined;
  /** Texts that do not fit are cut to what the context holds; default: refused. */
  readonly truncate?: boolean | undefined;
}

export interface SpelledLogprob {
  readonly token: string;
  readonly bytes: readonly number[];
  readonly logprob: number;
  readonly top: readonly Omit<SpelledLogprob, 'top'>[];
}

export interface EchoedToken extends Omit<SpelledLogprob, 'logprob'> {
  /** Undefined for the first token of a prompt: nothing comes before it. */
  readonly logprob: number | undefined;
  /** False for what a tokenizer puts around a text, such as a BOS token. */
  readonly shown: boolean;
}

/** A prompt as its answers repeat it. */
export interface Echo {
  readonly text: string;
  readonly tokens: readonly EchoedToken[] | undefined;
}

export interface Usage {
  readonly promptTokens: number;
  /** Those of the prompt that were in the cache already. */
  readonly cachedTokens: number;
  readonly generatedTokens: number;
  readonly reasoningTokens: number;
  /** Of streamed experts. */
  readonly experts?: ExpertUse | undefined;
}

export interface AnswerDelta {
  readonly kind: 'delta';
  readonly events: readonly AnswerEvent[];
  /** Of the tokens behind the events, when asked for. */
  readonly logprobs: readonly SpelledLogprob[];
}

export interface AnswerEnd {
  readonly kind: 'end';
  readonly reason: EndReason;
  /** The stop text that ended the answer. */
  readonly stopText: string | undefined;
  readonly usage: Usage;
  readonly times: AnswerTimes;
}

/** Milliseconds. */
export interface AnswerTimes {
  readonly loadMs: number;
  readonly prefillMs: number;
  readonly decodeMs: number;
}

export type AnswerPart = AnswerDelta | AnswerEnd;

/** A part of answer number `choice`. */
export interface ChoicePart {
  readonly choice: number;
  readonly part: AnswerPart;
}

/** What a request brings along. */
export interface Caller {
  /** Aborted when the client is gone or the server stops. */
  readonly signal: AbortSignal;
  /** `performance.now()` when the request came. */
  readonly start: number;
  /** Milliseconds the model is to stay loaded afterwards. */
  readonly keepMs?: number | undefined;
}

/** What a converter may know of an answer before it begins. */
export interface AnswerHead {
  readonly id: string;
  /** The model's name as the client asked for it. */
  readonly model: string;
  /** Seconds since 1970. */
  readonly created: number;
  readonly promptTokens: number;
  /** Names what answers: another version may answer otherwise. */
  readonly fingerprint: string;
}

/** The sum of usages of several answers to one prompt: the prompt counts once. */
export function totalUsage(ends: readonly AnswerEnd[]): Usage {
  const sum = (pick: (usage: Usage) => number): number => ends.reduce((n, { usage }) => n + pick(usage), 0);
  const largest = (pick: (usage: Usage) => number): number =>
    ends.reduce((n, { usage }) => Math.max(n, pick(usage)), 0);
  return {
    promptTokens: largest((u) => u.promptTokens),
    cachedTokens: largest((u) => u.cachedTokens),
    generatedTokens: sum((u) => u.generatedTokens),
    reasoningTokens: sum((u) => u.reasoningTokens),
    // Answers that ran together saw the same reads: the one that saw most has seen them all.
    experts: ends
      .flatMap(({ usage }) => usage.experts ?? [])
      .reduce<ExpertUse | undefined>(
        (a, b) => (a === undefined || b.requests > a.requests ? b : a),
        undefined,
      ),
  };
}
