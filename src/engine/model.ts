// A loaded model: text and token streams over one scheduler.

import { evaluate } from '../array/creation.ts';
import { IngotError } from '../base/errors.ts';
import { TierWatch } from '../cache/tier-use.ts';
import type { Message } from '../chat/messages.ts';
import type { Device } from '../device/device.ts';
import type { ExpertStore } from '../experts/contract.ts';
import { type ExpertUse, ExpertWatch } from '../experts/use.ts';
import { checkTokens, checkTop } from '../generate/job.ts';
import type { Passes, Pooling } from '../generate/passes.ts';
import type { GeneratedToken, Runner } from '../generate/runner.ts';
import type { SamplingOptions } from '../generate/sampling.ts';
import type { Scheduler } from '../generate/scheduler.ts';
import type { ModelModules } from '../nn/model-modules.ts';
import { type PatchTarget, patchTarget } from '../patch/target.ts';
import { encodeInSlices } from '../tokenizer/slices.ts';
import type { Tokenizer } from '../tokenizer/tokenizer.ts';
import { chatText, completeText, conversationOf, renderChat } from './answer.ts';
import { checkEmbedInput, checkOptions, checkText, checkTokenList } from './check.ts';
import type { ModelPatching } from './patching.ts';
import { perplexity } from './perplexity.ts';
import { contextOverflow, encodeInput, longestPrompt } from './prompt.ts';
import { Session, type SessionOptions } from './session.ts';
import { type MutableStats, newStats } from './stats.ts';
import type {
  Answer,
  ChatOptions,
  CompleteOptions,
  EmbedOptions,
  GenerateOptions,
  GenerateStats,
  LogprobsOptions,
  Model,
  ModelInfo,
  ModelStatus,
  PerplexityOptions,
  PerplexityResult,
  Routing,
  TextStream,
  TokenStream,
  TuneOptions,
  TuneReport,
} from './types.ts';

export interface LoadedParts {
  readonly info: ModelInfo;
  readonly tokenizer: Tokenizer | undefined;
  /** There is no output head: nothing but embeddings can be had. */
  readonly headless: boolean;
  /** Why there is no tokenizer, where there is none. */
  readonly withoutText: string;
  readonly scheduler: Scheduler;
  readonly runner: Runner;
  readonly device: Device;
  readonly patching: ModelPatching;
  readonly modules: ModelModules;
  readonly passes: Passes;
  readonly vocabSize: number;
  readonly contextLength: number;
  /** Where the experts are, when they are not all in memory. */
  readonly experts: ExpertStore | undefined;
  /** Freed in this order once nothing runs any more. */
  readonly owned: readonly { dispose(): void }[];
}

/** How a model is sampled whose makers do not say: varied, but without the unlikely. */
const COMMON_SAMPLING: SamplingOptions = { temperature: 0.8, topK: 40, topP: 0.95 };

/** A stream of tokens with the numbers of its generation. */
class Tokens implements TokenStream {
  readonly stats: GenerateStats;
  readonly #start: () => AsyncIterator<number>;

  constructor(stats: GenerateStats, start: () => AsyncIterator<number>) {
    this.stats = stats;
    this.#start = start;
  }
  [Symbol.asyncIterator](): AsyncIterator<number> {
    return this.#start();
  }
}

export class LoadedModel implements Model {
  readonly info: ModelInfo;
  readonly #parts: LoadedParts;
  #freed: Promise<void> | undefined;
  #lastUse: ExpertUse | undefined;

  constructor(parts: LoadedParts) {
    this.info = parts.info;
    this.#parts = parts;
  }

  /** For `ingot/patch`. */
  get [patchTarget](): PatchTarget {
    return this.#parts.patching;
  }

  modules(): ModelModules {
    return this.#parts.modules;
  }

  async recompile({ signal }: { readonly signal?: AbortSignal } = {}): Promise<void> {
    if (this.#freed !== undefined) throw new IngotError('disposed', `${this.info.name} was disposed`);
    // What was not computed yet would be a part of each step.
    await evaluate(...Object.values(this.modules().parameters()));
    await this.#parts.patching.rebuild(signal);
  }

  get hasTokenizer(): boolean {
    return this.#parts.tokenizer !== undefined;
  }
  get tokenizer(): Tokenizer {
    const { tokenizer, withoutText } = this.#parts;
    if (tokenizer) return tokenizer;
    throw new IngotError(
      'unsupported',
      `${this.info.name} has no text to work on: ${withoutText}; use generate() with token ids`,
    );
  }

  chat(messages: readonly Message[], options: ChatOptions = {}): TextStream {
    return chatText(this, messages, options);
  }

  async ask(question: string | readonly Message[], options: ChatOptions = {}): Promise<Answer> {
    return chatText(this, conversationOf(question), options).whole();
  }

  session(options: SessionOptions = {}): Session {
    return new Session(this, options);
  }

  render(messages: readonly Message[], options: ChatOptions = {}): string {
    return renderChat(this, messages, options);
  }

  complete(text: string, options: CompleteOptions = {}): TextStream {
    return completeText(this, text, options);
  }

  /** Sampled as the model's makers advise where `options` do not say; temperature 0 takes the most probable token. */
  generate(tokens: readonly number[], options: GenerateOptions = {}): TokenStream {
    const stats = newStats();
    return new Tokens(stats, () => this.#tokens(tokens, options, stats));
  }

  async logits(
    tokens: readonly number[],
  ): Promise<{ readonly data: Float32Array; readonly shape: readonly [number, number] }> {
    const { vocabSize } = this.#parts;
    this.#checkHead();
    checkTokenList(tokens);
    checkTokens(tokens, vocabSize);
    this.#checkLength(tokens.length);
    const data = new Float32Array(tokens.length * vocabSize);
    await this.#parts.passes.logits(tokens, (rows, first) => data.set(rows, first * vocabSize));
    return { data, shape: [tokens.length, vocabSize] };
  }

  async logprobs(
    tokens: readonly number[],
    options: LogprobsOptions = {},
  ): Promise<readonly GeneratedToken[]> {
    checkOptions('logprobs', options);
    this.#checkHead();
    checkTokenList(tokens);
    const { top, signal } = options;
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

  embed(input: string | readonly number[], options?: EmbedOptions): Promise<Float32Array>;
  embed(inputs: readonly string[], options?: EmbedOptions): Promise<readonly Float32Array[]>;
  async embed(
    input: string | readonly string[] | readonly number[],
    options: EmbedOptions = {},
  ): Promise<Float32Array | readonly Float32Array[]> {
    checkOptions('embed', options);
    const { pooling = 'mean', signal } = options;
    checkEmbedInput(input);
    if (!isTexts(input)) return this.#embed(input, pooling, signal);
    const vectors: Float32Array[] = [];
    for (const text of input) vectors.push(await this.#embed(text, pooling, signal));
    return vectors;
  }

  async #embed(
    input: string | readonly number[],
    pooling: Pooling,
    signal: AbortSignal | undefined,
  ): Promise<Float32Array> {
    if (typeof input !== 'string') checkTokenList(input);
    const tokens = await encodeInput(this, input, { signal });
    checkTokens(tokens, this.#parts.vocabSize);
    return this.#parts.passes.embed(tokens, pooling, signal);
  }

  async perplexity(text: string, options: PerplexityOptions = {}): Promise<PerplexityResult> {
    const { vocabSize, contextLength, passes, experts } = this.#parts;
    checkText('text', text);
    this.#checkHead();
    checkOptions('perplexity', options);
    const tokens = await encodeInSlices(this.tokenizer, text, { signal: options.signal });
    if (tokens.length < 2)
      throw new IngotError(
        'invalid_argument',
        `text has ${tokens.length} tokens; perplexity needs two at least, of which the first predicts the second`,
      );
    checkTokens(tokens, vocabSize);
    const watch = experts && new ExpertWatch(() => experts.status());
    const result = await perplexity(tokens, (window, onRows) => passes.logits(window, onRows, options), {
      vocabSize,
      contextLength,
      ...options,
    });
    const { substituted } = watch?.ended({ generatedTokens: result.tokens, decodeMs: result.ms }) ?? {};
    return { ...result, ...(substituted === undefined ? {} : { substituted }) };
  }

  routing(): Routing | undefined {
    return this.#freed === undefined ? this.#parts.experts?.routing() : undefined;
  }

  status(): ModelStatus {
    const { scheduler, experts } = this.#parts;
    return {
      ...scheduler.status(),
      ...(experts && this.#freed === undefined
        ? { experts: { ...experts.status(), last: this.#lastUse } }
        : {}),
    };
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
    void this.#free();
  }
  [Symbol.dispose](): void {
    this.dispose();
  }
  [Symbol.asyncDispose](): Promise<void> {
    return this.#free();
  }

  #free(): Promise<void> {
    this.#freed ??= this.#parts.scheduler.close().then(() => {
      for (const x of this.#parts.owned) x.dispose();
    });
    return this.#freed;
  }

  /** Before anything that needs logits. */
  #checkHead(): void {
    if (!this.#parts.headless) return;
    throw new IngotError(
      'unsupported',
      `${this.info.name} has no output head (lm_head.weight): it was saved for embeddings, use embed()`,
    );
  }

  #checkLength(tokens: number): void {
    if (tokens > longestPrompt(this.info)) throw contextOverflow(this, tokens);
  }

  async *#tokens(
    prompt: readonly number[],
    options: GenerateOptions,
    stats: MutableStats,
  ): AsyncGenerator<number, void, void> {
    const { scheduler, experts } = this.#parts;
    try {
      this.#checkHead();
      checkTokenList(prompt);
      checkOptions('generate', options);
      this.#checkLength(prompt.length);
    } catch (error) {
      options.constraint?.dispose();
      throw error;
    }
    const sampled = { ...this.#sampling, ...given(options) };
    const watch = experts && new ExpertWatch(() => experts.status());
    const kv = new TierWatch(() => (this.#freed === undefined ? scheduler.tier : undefined));
    try {
      for await (const token of scheduler.generate(prompt, sampled, stats)) {
        watch?.began();
        kv.began();
        if (options.logprobs !== undefined) stats.logprobs.push(token);
        yield token.id;
      }
    } finally {
      stats.kv = kv.ended(stats);
      if (watch !== undefined && this.#freed === undefined)
        this.#lastUse = stats.experts = watch.ended(stats);
    }
  }

  get #sampling(): SamplingOptions {
    const { sampling } = this.info;
    return Object.keys(sampling).length === 0 ? COMMON_SAMPLING : { temperature: 1, ...sampling };
  }
}

/** Options without those that say nothing, which must not hide a default. */
const given = (options: GenerateOptions): GenerateOptions =>
  Object.fromEntries(Object.entries(options).filter(([, value]) => value !== undefined));

const isTexts = (input: string | readonly string[] | readonly number[]): input is readonly string[] =>
  typeof input !== 'string' && input.length > 0 && typeof input[0] === 'string';
