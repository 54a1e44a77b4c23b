// A model that says given texts, a byte at a time, and keeps to a constraint: what it may not say it replaces.

import type { GenerateOptions, GenerateStats, Model, TokenStream } from '../engine/types.ts';
import type { TokenConstraint } from '../generate/constraint.ts';
import { Decoder } from '../tokenizer/decode.ts';
import type { DecodeOptions, StreamDecoder, StreamOptions, Tokenizer } from '../tokenizer/tokenizer.ts';

const marks = ['<|im_start|>', '<|im_end|>'];
const end = 257;

/** A token per byte, and the two of ChatML. */
class Bytes implements Tokenizer {
  readonly vocabSize = 258;
  readonly bosId = undefined;
  readonly bosToken = undefined;
  readonly eosIds = [end];
  readonly eosToken = '<|im_end|>';
  readonly specialIds: ReadonlySet<number> = new Set([256, 257]);
  readonly chatTemplate = undefined;
  readonly #decoder = new Decoder({
    tokenOf: (id) => this.tokenOf(id),
    addedIds: this.specialIds,
    specialIds: this.specialIds,
    rule: { kind: 'sentencepiece', stripLeadingSpace: false },
  });

  encode(text: string): number[] {
    return text.split(/(<\|im_start\|>|<\|im_end\|>)/).flatMap((part) => {
      const mark = marks.indexOf(part);
      return mark >= 0 ? [256 + mark] : [...Buffer.from(part)];
    });
  }
  decode(ids: readonly number[], options?: DecodeOptions): string {
    return this.#decoder.decode(ids, options);
  }
  idOf(token: string): number | undefined {
    const mark = marks.indexOf(token);
    return mark >= 0 ? 256 + mark : undefined;
  }
  tokenOf(id: number): string | undefined {
    return id < 256 ? `<0x${id.toString(16).padStart(2, '0')}>` : marks[id - 256];
  }
  bytesOf(id: number): Uint8Array {
    return this.#decoder.bytesOf(id);
  }
  stream(options?: StreamOptions): StreamDecoder {
    return this.#decoder.stream(options);
  }
}

type Options = GenerateOptions & { readonly constraint?: TokenConstraint | undefined };
type Stats = { -readonly [K in keyof GenerateStats]: GenerateStats[K] };

const unused = (): never => {
  throw new Error('not used');
};

export class ScriptedEngine implements Model {
  readonly tokenizer = new Bytes();
  readonly info = {
    name: 'scripted',
    family: 'llama',
    parameters: 1,
    layers: 1,
    contextLength: 65536,
    weightBytes: 1,
    format: 'script',
  };
  /** Prompts as texts, and the options that came with them. */
  readonly prompts: string[] = [];
  readonly asked: Options[] = [];
  running = 0;
  readonly #answers: string[];
  readonly chat = unused;
  readonly complete = unused;
  readonly logits = unused;
  readonly perplexity = unused;
  readonly profile = () => [];
  readonly dispose = () => undefined;
  readonly [Symbol.dispose] = () => undefined;

  constructor(answers: readonly string[]) {
    this.#answers = [...answers];
  }

  generate(tokens: readonly number[], options: Options = {}): TokenStream {
    this.prompts.push(this.tokenizer.decode(tokens, { skipSpecial: false }));
    this.asked.push(options);
    const stats: Stats = {
      promptTokens: tokens.length,
      cachedTokens: 0,
      generatedTokens: 0,
      prefillMs: 0,
      decodeMs: 0,
      stopReason: undefined,
      logprobs: [],
    };
    return { stats, [Symbol.asyncIterator]: () => this.#say(this.#answers.shift() ?? '', options, stats) };
  }

  async *#say(text: string, options: Options, stats: Stats): AsyncGenerator<number, void, void> {
    const { constraint, signal, maxTokens = Number.POSITIVE_INFINITY } = options;
    const wanted = [...Buffer.from(text), end];
    this.running++;
    try {
      for (let at = 0; stats.generatedTokens < maxTokens; at++) {
        await new Promise((resolve) => setImmediate(resolve));
        signal?.throwIfAborted();
        const id = constraint ? allowed(constraint, wanted[at] ?? end) : (wanted[at] ?? end);
        if (id === end) {
          stats.stopReason = 'eos';
          return;
        }
        stats.generatedTokens++;
        yield id;
      }
      stats.stopReason = 'length';
    } finally {
      this.running--;
      constraint?.dispose();
    }
  }
}

/** The wanted token, or the first of those that close something, or the first allowed. */
function allowed(constraint: TokenConstraint, wanted: number): number {
  const mask = new Int32Array(9);
  constraint.fill(mask);
  const may = (id: number): boolean => (((mask[id >> 5] ?? 0) >> (id & 31)) & 1) !== 0;
  const all = Array.from({ length: 258 }, (_, id) => id);
  const id = [wanted, end, ...Buffer.from('"]}'), ...all.slice(33)].find(may) ?? all.find(may) ?? end;
  constraint.accept(id);
  return id;
}
