// One answer as parts: tokens become text, stop texts end it, the parser makes events of it.

import type { AnswerEvent, AnswerParser } from '../chat/answer.ts';
import type { GenerateOptions, Model } from '../engine/types.ts';
import type { TokenConstraint } from '../generate/constraint.ts';
import { StopMatcher } from '../generate/stop.ts';
import { tokenizerOf } from './backend.ts';
import type { AnswerEnd, AnswerPart, GenerationJob } from './job.ts';
import { logprobOf } from './logprob.ts';

export interface GenerationSetup {
  readonly prompt: readonly number[];
  readonly keep: ReadonlySet<number>;
  readonly parser: AnswerParser;
  readonly constraint?: TokenConstraint | undefined;
  /** The answer goes on from a text, and not from the opening of a turn. */
  readonly continuation: boolean;
  readonly seed: number | undefined;
}

export interface GenerationContext {
  readonly signal: AbortSignal;
  readonly loadMs: number;
  readonly onToken: () => void;
}

/** Generates one answer. Rejects with the signal's reason when aborted. */
export async function* generateAnswer(
  model: Model,
  job: GenerationJob,
  setup: GenerationSetup,
  context: GenerationContext,
): AsyncGenerator<AnswerPart, void, void> {
  if (job.maxTokens === 0) {
    setup.constraint?.dispose();
    yield nothing(setup, context);
    return;
  }
  const tokenizer = tokenizerOf(model);
  const stream = model.generate(setup.prompt, optionsOf(job, setup, context.signal));
  const decoder = tokenizer.stream(setup);
  const reader = new AnswerReader(setup.parser, job.stop);
  for await (const id of stream) {
    context.onToken();
    const events = reader.token(decoder.push(id));
    const token = job.logprobs === undefined ? undefined : stream.stats.logprobs.at(-1);
    const logprobs = token ? [logprobOf(tokenizer, token)] : [];
    if (events.length > 0 || logprobs.length > 0) yield { kind: 'delta', events, logprobs };
    if (reader.stopText !== undefined) break;
  }
  const rest = reader.end(decoder.end());
  if (rest.length > 0) yield { kind: 'delta', events: rest, logprobs: [] };
  const { promptTokens, cachedTokens, generatedTokens, prefillMs, decodeMs, stopReason } = stream.stats;
  yield {
    kind: 'end',
    reason: reader.reason(stopReason === 'length'),
    stopText: reader.stopText,
    usage: { promptTokens, cachedTokens, generatedTokens, reasoningTokens: reader.reasoningTokens },
    times: { loadMs: context.loadMs, prefillMs, decodeMs },
  };
}

/** The end of an answer that is to have no tokens; the engine has no such generations. */
const nothing = ({ prompt }: GenerationSetup, { loadMs }: GenerationContext): AnswerEnd => ({
  kind: 'end',
  reason: 'length',
  stopText: undefined,
  usage: { promptTokens: prompt.length, cachedTokens: 0, generatedTokens: 0, reasoningTokens: 0 },
  times: { loadMs, prefillMs: 0, decodeMs: 0 },
});

const optionsOf = (job: GenerationJob, setup: GenerationSetup, signal: AbortSignal): GenerateOptions => {
  return {
    ...job.sampling,
    seed: setup.seed,
    maxTokens: job.maxTokens,
    ignoreEos: job.ignoreEos,
    logprobs: job.logprobs,
    constraint: setup.constraint,
    signal,
  };
};

/** Text of tokens -> events, with stop texts applied and reasoning counted. */
class AnswerReader {
  readonly #parser: AnswerParser;
  readonly #stop: StopMatcher;
  #thinking = false;
  #calls = 0;
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

  reason(length: boolean): 'end' | 'stopText' | 'length' | 'toolCalls' {
    if (this.stopText !== undefined) return 'stopText';
    if (length) return 'length';
    return this.#calls > 0 ? 'toolCalls' : 'end';
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
      if (kind === 'toolCall') this.#calls++;
    }
    return events;
  }
}
