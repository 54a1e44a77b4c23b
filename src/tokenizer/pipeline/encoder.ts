// From text to token ids, step by step: added tokens, normaliser, words, model, and what stands around the text.
// Nothing depends on how long a text is: pauses are made between steps, never by cutting the text.

import { byteAlphabet } from '../byte-alphabet.ts';
import { isObject } from '../json.ts';
import type { AddedTokenSpec, TokenizerSpec } from '../spec.ts';
import type { EncodeOptions } from '../tokenizer.ts';
import { AddedTokens, type Section } from './added-tokens.ts';
import { bpeOf, byteTokenNames } from './bpe.ts';
import { allLiteral, type LiteralRule, literalRule, nothingLiteral } from './literal.ts';
import type { TokenModel } from './model.ts';
import { type Normalizer, normalizerOf } from './normalizers.ts';
import { type Around, aroundOf } from './post-processor.ts';
import { type PreTokenizer, preTokenizerOf } from './pre-tokenizers.ts';
import { finish, type Steps } from './steps.ts';
import { unigramOf } from './unigram.ts';
import { wordLevelOf, wordPieceOf } from './word-models.ts';

/** The parts of an encoder that are made, and checked, when a tokenizer is opened: what is not known is told then. */
export interface EncoderParts {
  readonly normalizer: Normalizer | undefined;
  /** The added tokens that are found in the normalised text, as they are spelled there, by their ids. */
  readonly spelled: ReadonlyMap<number, string>;
  readonly preTokenizer: PreTokenizer;
  readonly around: Around;
  readonly unnormalized: AddedTokens;
  readonly normalized: AddedTokens;
  /** The special tokens of `normalized` as a text has them before it is normalised. */
  readonly rawSpecial: AddedTokens;
}

/** Throws `unsupported` for a component that is not known, by its name, and FileFormatError for one that is wrong. */
export function encoderParts(
  spec: TokenizerSpec,
  idOf: (token: string) => number | undefined,
  file: string,
): EncoderParts {
  const normalizer = normalizerOf(spec.normalizer, file);
  const isNormalized = ({ normalized, special }: AddedTokenSpec): boolean => normalized ?? special !== true;
  const normalized = spec.added_tokens.filter((token) => isNormalized(token));
  const spell = (content: string): string => (normalizer ? finish(normalizer.apply(content)) : content);
  return {
    normalizer,
    spelled: new Map(normalized.map(({ id, content }) => [id, spell(content)])),
    preTokenizer: preTokenizerOf(spec.pre_tokenizer, file),
    around: aroundOf(spec.post_processor, idOf, file),
    unnormalized: new AddedTokens(spec.added_tokens.filter((token) => !isNormalized(token))),
    normalized: new AddedTokens(normalized, spell),
    rawSpecial: new AddedTokens(normalized.filter(({ special }) => special === true)),
  };
}

/** The model of a tokenizer.json, which takes a while for a large vocabulary. */
export function* modelOf(
  spec: TokenizerSpec,
  ids: ReadonlyMap<string, number>,
  file: string,
): Steps<TokenModel> {
  const { type, vocab } = spec.model;
  if (type === 'Unigram') return yield* unigramOf(spec.model, file);
  const own = isObject(vocab) ? (new Map(Object.entries(vocab)) as Map<string, number>) : ids;
  yield;
  if (type === 'BPE') return yield* bpeOf(spec.model, own, file);
  return type === 'WordPiece' ? wordPieceOf(spec.model, own) : wordLevelOf(spec.model, own);
}

/**
 * The factor by which a text may shrink before each of its characters is in a token of the vocabulary; 0 when one token may
 * stand for a text of any length.
 */
export function shrinkage(
  { normalizer, preTokenizer }: EncoderParts,
  { model, added_tokens: added }: TokenizerSpec,
  idOf: (token: string) => number | undefined,
): number {
  const all = (tokens: readonly string[]): boolean => tokens.every((token) => idOf(token) !== undefined);
  const complete =
    (model.byte_fallback === true && all(byteTokenNames)) || (preTokenizer.spells && all(byteAlphabet));
  const absorbs = added.some(({ lstrip, rstrip }) => lstrip === true || rstrip === true);
  return complete && preTokenizer.keepsAll && !absorbs ? (normalizer?.shrinks ?? 1) : 0;
}

const anySpecial: AddedTokenSpec = { id: 0, content: '', special: true };

const wordsPerStep = 32;
const longestRemembered = 64;
const mostRemembered = 1 << 15;

export class Encoder {
  readonly #parts: EncoderParts;
  readonly #model: TokenModel;
  readonly #known = new Map<string, readonly number[]>();

  constructor(parts: EncoderParts, model: TokenModel) {
    this.#parts = parts;
    this.#model = model;
  }

  *encode(text: string, options: EncodeOptions = {}): Steps<number[]> {
    const { before, after } = this.#parts.around;
    const { addSpecial = true, limit = Number.POSITIVE_INFINITY } = options;
    const ids = addSpecial ? [...before] : [];
    const literal = literalRule(options);
    for (const section of yield* this.#parts.unnormalized.sections(text, literal)) {
      if (section.id !== undefined) ids.push(section.id);
      else yield* this.#section(text, section, literal, ids, limit);
      if (ids.length > limit) return ids;
    }
    if (addSpecial) ids.push(...after);
    return ids;
  }

  *#section(
    text: string,
    { from, to }: Section,
    literal: LiteralRule,
    ids: number[],
    limit: number,
  ): Steps<void> {
    const { normalizer, normalized } = this.#parts;
    const raw = text.slice(from, to);
    const made = normalizer ? yield* normalizer.apply(raw) : raw;
    const asText = yield* this.#literalIn(raw, made, from, literal);
    for (const part of yield* normalized.sections(made, asText)) {
      if (part.id !== undefined) ids.push(part.id);
      else yield* this.#words(made.slice(part.from, part.to), from + part.from === 0, ids, limit);
    }
  }

  /**
   * The rule for a normalised section. Places in it are not those of the text, but special tokens come in the same order in
   * both; should there be more or fewer of them, all are text when a part of the section is.
   */
  *#literalIn(raw: string, made: string, from: number, literal: LiteralRule): Steps<LiteralRule> {
    const { normalized, rawSpecial } = this.#parts;
    if (rawSpecial.size === 0 || literal === allLiteral || literal === nothingLiteral) return literal;
    const isText: boolean[] = [];
    const places = new Map<number, number>();
    yield* rawSpecial.sections(raw, (token, start, end) => {
      isText.push(literal(token, from + start, from + end));
      return false;
    });
    yield* normalized.sections(made, (token, start) => {
      if (token.special === true) places.set(start, places.size);
      return false;
    });
    const aligned = isText.length === places.size;
    const any = literal(anySpecial, from, from + raw.length);
    return (token, start) =>
      token.special === true && (aligned ? isText[places.get(start) ?? -1] === true : any);
  }

  *#words(text: string, atStart: boolean, ids: number[], limit: number): Steps<void> {
    const { cut, spell } = this.#parts.preTokenizer;
    let count = 0;
    for (const word of cut(text, atStart)) {
      const found = this.#known.get(word) ?? (yield* this.#word(word, spell));
      for (const id of found) ids.push(id);
      if (++count % wordsPerStep !== 0) continue;
      if (ids.length > limit) return;
      yield;
    }
  }

  *#word(word: string, spell: (word: string) => string): Steps<readonly number[]> {
    const ids = yield* this.#model.encode(spell(word));
    if (word.length <= longestRemembered) {
      if (this.#known.size >= mostRemembered) this.#known.clear();
      this.#known.set(word, ids);
    }
    return ids;
  }
}
