// A model that says what it is told to: for tests of everything above the engine, fast and without weights.

import { setTimeout as sleep, setImmediate as turn } from 'node:timers/promises';
import { IngotError } from '../base/errors.ts';
import type { Message } from '../chat/messages.ts';
import { chatText, completeText, conversationOf, renderChat } from '../engine/answer.ts';
import { Session, type SessionOptions } from '../engine/session.ts';
import type {
  Answer,
  ChatOptions,
  CompleteOptions,
  EmbedOptions,
  GeneratedToken,
  GenerateOptions,
  GenerateStats,
  LogprobsOptions,
  Model,
  ModelInfo,
  SamplingOptions,
  TextStream,
  TokenStream,
} from '../engine/types.ts';
import type { TokenConstraint } from '../generate/constraint.ts';
import { ByteTokenizer } from './byte-tokenizer.ts';

const tokens = new ByteTokenizer();
const [END = -1] = tokens.eosIds;
const closers = tokens.encode('"]}');
/** Letters before white space and control characters. */
const all = [...Array(tokens.vocabSize).keys()].sort((a, b) => Number(a < 33) - Number(b < 33) || a - b);

export interface ScriptedOptions {
  readonly name?: string | undefined;
  /** The answer to a prompt. */
  readonly answer: (prompt: string) => string;
  /** Milliseconds a token takes; default: one turn of the event loop. */
  readonly tokenMs?: number | undefined;
  readonly contextLength?: number | undefined;
  readonly trainedContextLength?: number | undefined;
  readonly sampling?: SamplingOptions | undefined;
  readonly weightBytes?: number | undefined;
}

type Stats = {
  -readonly [K in keyof GenerateStats]: K extends 'logprobs' ? GeneratedToken[] : GenerateStats[K];
};

/** Counts what runs on it, and remembers prompts as a prefix cache would. */
export class ScriptedModel implements Model {
  readonly info: ModelInfo;
  readonly hasTokenizer = true;
  readonly tokenizer = tokens;
  readonly prompts: string[] = [];
  readonly asked: GenerateOptions[] = [];
  running = 0;
  /** Generations that were ended by their signal. */
  aborted = 0;
  disposed = false;
  readonly #options: ScriptedOptions;
  readonly #seen: (readonly number[])[] = [];

  constructor(options: ScriptedOptions) {
    this.#options = options;
    const { name = 'scripted', contextLength = 4096, weightBytes = 1000 } = options;
    this.info = {
      name,
      family: 'llama',
      parameters: 1,
      layers: 1,
      contextLength,
      trainedContextLength: options.trainedContextLength ?? contextLength,
      sampling: options.sampling ?? {},
      weightBytes,
      prefixBytes: 0,
      format: 'script',
    };
  }

  generate(tokens: readonly number[], options: GenerateOptions = {}): TokenStream {
    const stats = {
      promptTokens: tokens.length,
      cachedTokens: 0,
      generatedTokens: 0,
      prefillMs: 0,
      decodeMs: 0,
      queueMs: 0,
      stopReason: undefined,
      logprobs: [],
    };
    return { stats, [Symbol.asyncIterator]: () => this.#generate(tokens, options, stats) };
  }

  async *#generate(
    tokens: readonly number[],
    options: GenerateOptions,
    stats: Stats,
  ): AsyncGenerator<number, void, void> {
    if (this.disposed) throw new IngotError('disposed', 'the model was disposed');
    const prompt = this.tokenizer.decode(tokens, { skipSpecial: false });
    this.prompts.push(prompt);
    this.asked.push(options);
    stats.cachedTokens = Math.min(
      tokens.length - 1,
      Math.max(0, ...this.#seen.map((seen) => common(seen, tokens))),
    );
    this.#seen.push(tokens);
    this.running++;
    try {
      const answer = this.tokenizer.encode(this.#options.answer(prompt));
      const room = this.info.contextLength - tokens.length + 1;
      const limit = Math.min(options.maxTokens ?? room, room);
      for (let at = 0; ; at++) {
        await (this.#options.tokenMs === undefined ? turn() : sleep(this.#options.tokenMs));
        options.signal?.throwIfAborted();
        const id = permitted(answer[at] ?? END, options.constraint);
        if (id === END) {
          stats.stopReason = 'eos';
          return;
        }
        if (stats.generatedTokens === limit) {
          stats.stopReason = 'length';
          return;
        }
        stats.generatedTokens++;
        if (options.logprobs !== undefined) stats.logprobs.push(tokenOf(id, options.logprobs));
        yield id;
      }
    } catch (error) {
      if (options.signal?.aborted) this.aborted++;
      throw error;
    } finally {
      this.running--;
      options.constraint?.dispose();
    }
  }

  /** Each token half as probable as the one before. */
  async logprobs(
    tokens: readonly number[],
    { top = 0 }: LogprobsOptions = {},
  ): Promise<readonly GeneratedToken[]> {
    return tokens.slice(1).map((id, i) => ({ ...tokenOf(id, top), logprob: -(i + 1) * Math.LN2 }));
  }

  /** A vector of eight numbers of length 1 that depends on the tokens. */
  embed(input: string | readonly number[], options?: EmbedOptions): Promise<Float32Array>;
  embed(inputs: readonly string[], options?: EmbedOptions): Promise<readonly Float32Array[]>;
  async embed(
    input: string | readonly (string | number)[],
    { pooling = 'mean' }: EmbedOptions = {},
  ): Promise<Float32Array | readonly Float32Array[]> {
    const vector = (ids: readonly number[]): Float32Array => {
      const counted = pooling === 'mean' ? ids : ids.slice(-1);
      const sums = Float32Array.from(
        { length: 8 },
        (_, i) => 1 + counted.filter((id) => id % 8 === i).length,
      );
      const norm = Math.hypot(...sums);
      return sums.map((value) => value / norm);
    };
    if (typeof input === 'string') return vector(tokens.encode(input));
    const texts = input.filter((each) => typeof each === 'string');
    return texts.length > 0
      ? texts.map((text) => vector(tokens.encode(text)))
      : vector(input.filter((each) => typeof each === 'number'));
  }

  status() {
    const prefix = { hits: 0, hitTokens: 0, bytes: 0 };
    return { running: this.running, queued: 0, kvBytes: 0, kvBytesUsed: 0, prefix };
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
  logits(): never {
    throw new IngotError('unsupported', 'a scripted model has no logits');
  }
  perplexity(): never {
    throw new IngotError('unsupported', 'a scripted model has no probabilities');
  }
  tune(): never {
    throw new IngotError('unsupported', 'a scripted model has no kernels');
  }
  modules(): never {
    throw new IngotError('unsupported', 'a scripted model has no modules');
  }
  recompile(): Promise<void> {
    return Promise.resolve();
  }
  profile(): [] {
    return [];
  }
  dispose(): void {
    this.disposed = true;
  }
  [Symbol.dispose](): void {
    this.dispose();
  }
  async [Symbol.asyncDispose](): Promise<void> {
    this.dispose();
  }
}

function common(a: readonly number[], b: readonly number[]): number {
  let n = 0;
  while (n < a.length && n < b.length && a[n] === b[n]) n++;
  return n;
}

const tokenOf = (id: number, top: number): GeneratedToken => ({
  id,
  logprob: -0.5,
  top: Array.from({ length: top }, (_, i) => ({ id: (id + i) % 256, logprob: -0.5 - i })),
});

/** What was wanted, or what the constraint allows instead: rather what closes something than what opens more. */
function permitted(wanted: number, constraint: TokenConstraint | undefined): number {
  if (!constraint) return wanted;
  const mask = new Int32Array(Math.ceil(all.length / 32));
  const free = !constraint.fill(mask);
  const may = (id: number): boolean => free || ((mask[id >> 5] ?? 0) & (1 << (id & 31))) !== 0;
  const id = [wanted, END, ...closers, ...all].find(may);
  if (id === undefined) throw new IngotError('internal', 'internal: the constraint allows no token');
  constraint.accept(id);
  return id;
}

/** A model that gives these answers in turn, then empty ones. */
export function scripted(answers: readonly string[]): ScriptedModel {
  const left = [...answers];
  return new ScriptedModel({ answer: () => left.shift() ?? '', contextLength: 65_536 });
}
