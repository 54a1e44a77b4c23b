// A loaded model: text and token streams over one scheduler.

import { IngotError } from '../base/errors.ts';
import { type Message, withSystem } from '../chat/messages.ts';
import { type ChatTemplate, templateOf } from '../chat/template.ts';
import type { Device } from '../device/device.ts';
import { checkTokens, checkTop, type GenerateProgress } from '../generate/job.ts';
import type { Passes } from '../generate/passes.ts';
import type { GeneratedToken, Runner } from '../generate/runner.ts';
import type { Scheduler, SchedulerStatus } from '../generate/scheduler.ts';
import { StopMatcher } from '../generate/stop.ts';
import { encodeInSlices } from '../tokenizer/slices.ts';
import type { Tokenizer } from '../tokenizer/tokenizer.ts';
import { perplexity } from './perplexity.ts';
import type {
  ChatOptions,
  EmbedOptions,
  GenerateOptions,
  GenerateStats,
  LogprobsOptions,
  Model,
  ModelInfo,
  PerplexityOptions,
  PerplexityResult,
  TextOptions,
  TextStream,
  TokenStream,
  TuneOptions,
  TuneReport,
} from './types.ts';

export interface LoadedParts {
  readonly info: ModelInfo;
  readonly tokenizer: Tokenizer | undefined;
  readonly scheduler: Scheduler;
  readonly runner: Runner;
  readonly device: Device;
  readonly passes: Passes;
  readonly vocabSize: number;
  readonly contextLength: number;
  /** Freed in this order once nothing runs any more. */
  readonly owned: readonly { dispose(): void }[];
}

/** A stream that can be read once, with the numbers of its generation. */
class Stream<T> {
  readonly stats: GenerateStats;
  readonly #start: () => AsyncIterator<T>;

  constructor(stats: GenerateStats, start: () => AsyncIterator<T>) {
    this.stats = stats;
    this.#start = start;
  }
  [Symbol.asyncIterator](): AsyncIterator<T> {
    return this.#start();
  }
}

interface MutableStats extends GenerateProgress {
  readonly logprobs: GeneratedToken[];
}

const newStats = (): MutableStats => ({
  promptTokens: 0,
  cachedTokens: 0,
  generatedTokens: 0,
  queueMs: 0,
  prefillMs: 0,
  decodeMs: 0,
  stopReason: undefined,
  logprobs: [],
});

export class LoadedModel implements Model {
  readonly info: ModelInfo;
  readonly tokenizer: Tokenizer | undefined;
  readonly #parts: LoadedParts;
  #template: ChatTemplate | undefined;
  #disposed = false;

  constructor(parts: LoadedParts) {
    this.info = parts.info;
    this.tokenizer = parts.tokenizer;
    this.#parts = parts;
  }

  chat(messages: readonly Message[], options: ChatOptions = {}): TextStream {
    const tokenizer = this.#needTokenizer('chat');
    this.#template ??= templateOf(tokenizer);
    const text = this.#template.render(withSystem(messages, options.system), {
      tools: options.tools,
      bosToken: tokenizer.bosToken,
      eosToken: tokenizer.eosToken,
    });
    return this.#text(tokenizer, text, options, false);
  }

  complete(text: string, options: TextOptions = {}): TextStream {
    const tokenizer = this.#needTokenizer('complete');
    return this.#text(tokenizer, text, options, true);
  }

  generate(tokens: readonly number[], options: GenerateOptions = {}): TokenStream {
    const stats = newStats();
    return new Stream(stats, () => this.#tokens(tokens, options, stats));
  }

  async logits(
    tokens: readonly number[],
  ): Promise<{ readonly data: Float32Array; readonly shape: readonly [number, number] }> {
    const { vocabSize } = this.#parts;
    checkTokens(tokens, vocabSize);
    this.#checkLength(tokens.length);
    const data = new Float32Array(tokens.length * vocabSize);
    await this.#parts.passes.logits(tokens, (rows, first) => data.set(rows, first * vocabSize));
    return { data, shape: [tokens.length, vocabSize] };
  }

  async logprobs(
    tokens: readonly number[],
    { top, signal }: LogprobsOptions = {},
  ): Promise<readonly GeneratedToken[]> {
    checkTokens(tokens, this.#parts.vocabSize);
    this.#checkLength(tokens.length);
    const found = await this.#parts.passes.logprobs(tokens, checkTop(top), signal);
    if (found.some(({ logprob }) => Number.isNaN(logprob))) {
      throw new IngotError(
        'device_failed',
        'the model gave logits with NaN in them: its weights are damaged',
      );
    }
    return found;
  }

  async embed(tokens: readonly number[], options: EmbedOptions = {}): Promise<Float32Array> {
    const { pooling = 'mean', signal } = options;
    if (pooling !== 'mean' && pooling !== 'last') {
      throw new IngotError('invalid_argument', `pooling must be 'mean' or 'last', got ${String(pooling)}`);
    }
    checkTokens(tokens, this.#parts.vocabSize);
    this.#checkLength(tokens.length);
    return this.#parts.passes.embed(tokens, pooling, signal);
  }

  async perplexity(text: string, options: PerplexityOptions = {}): Promise<PerplexityResult> {
    const { vocabSize, contextLength, passes } = this.#parts;
    const { signal } = options;
    const tokens = await encodeInSlices(this.#needTokenizer('perplexity'), text, { signal });
    checkTokens(tokens, vocabSize);
    return perplexity(tokens, (window, onRows) => passes.logits(window, onRows, signal), {
      vocabSize,
      contextLength,
      ...options,
    });
  }

  status(): SchedulerStatus {
    return this.#parts.scheduler.status();
  }

  async tune(options: TuneOptions = {}): Promise<TuneReport> {
    const { tuneModel } = await import('./tune.ts');
    const { device, runner, vocabSize, contextLength } = this.#parts;
    return tuneModel({ device, runner, vocabSize, contextLength, model: this }, options);
  }

  profile(): readonly { readonly label: string; readonly ns: number }[] {
    return this.#parts.runner.profile();
  }

  /** Safe at any moment: what is in flight ends first. */
  dispose(): void {
    if (this.#disposed) return;
    this.#disposed = true;
    void this.#parts.scheduler.close().then(() => {
      for (const x of this.#parts.owned) x.dispose();
    });
  }
  [Symbol.dispose](): void {
    this.dispose();
  }

  #needTokenizer(what: string): Tokenizer {
    if (this.tokenizer) return this.tokenizer;
    throw new IngotError(
      'unsupported',
      `${this.info.name} came without a tokenizer, so ${what}() has no text to work on; use generate() with token ids`,
    );
  }

  #checkLength(tokens: number): void {
    const { contextLength } = this.#parts;
    if (tokens <= contextLength) return;
    throw new IngotError(
      'context_overflow',
      `${tokens} tokens do not fit the context of ${contextLength}: give fewer, or load the model with a larger contextLength`,
      { details: { tokens, contextLength } },
    );
  }

  async *#tokens(
    prompt: readonly number[],
    options: GenerateOptions,
    stats: MutableStats,
  ): AsyncGenerator<number, void, void> {
    for await (const token of this.#parts.scheduler.generate(prompt, options, stats)) {
      if (options.logprobs) stats.logprobs.push(token);
      yield token.id;
    }
  }

  #text(tokenizer: Tokenizer, prompt: string, options: TextOptions, continuation: boolean): TextStream {
    const stats = newStats();
    const stop = new StopMatcher(options.stop ?? []);
    return new Stream(stats, () => this.#textOf(tokenizer, prompt, options, { stats, stop, continuation }));
  }

  async *#textOf(
    tokenizer: Tokenizer,
    prompt: string,
    options: TextOptions,
    run: { readonly stats: MutableStats; readonly stop: StopMatcher; readonly continuation: boolean },
  ): AsyncGenerator<string, void, void> {
    const { stats, stop, continuation } = run;
    // A template has written the special tokens of a chat.
    const { signal } = options;
    const tokens = await encodeInSlices(tokenizer, prompt, { addSpecial: continuation, signal });
    const decoder = tokenizer.stream({ continuation });
    for await (const id of this.#tokens(tokens, options, stats)) {
      const { text, stoppedBy } = stop.push(decoder.push(id));
      if (text !== '') yield text;
      if (stoppedBy !== undefined) {
        stats.stopReason = 'stop';
        return;
      }
    }
    const { text, stoppedBy } = stop.push(decoder.end());
    const rest = stoppedBy === undefined ? text + stop.flush() : text;
    if (rest !== '') yield rest;
  }
}
