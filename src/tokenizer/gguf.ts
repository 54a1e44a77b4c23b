// Tokenizers inside GGUF files: the metadata keys `tokenizer.*` turned into the tokenizer.json they stand for.
// https://github.com/ggml-org/ggml/blob/master/docs/gguf.md

import { FileFormatError, IngotError } from '../base/errors.ts';
import { buildTokenizer } from './build.ts';
import { isSpelled, spell } from './byte-alphabet.ts';
import { mergesFromScores } from './merges.ts';
import type { AddedTokenSpec, TokenizerSpec } from './spec.ts';
import { splitFor } from './split.ts';
import type { Tokenizer } from './tokenizer.ts';
import { endIds } from './turns.ts';
import { pieceTypes, unigramSpec } from './unigram-spec.ts';

/** GGUF metadata as a reader gives it: a Map fits. Numbers may be bigint; arrays may be typed. */
export interface GgufMetadata {
  get(key: string): unknown;
}

/** Typed reading of metadata fields; a wrong type is a FileFormatError that names the field. */
class Fields {
  readonly #metadata: GgufMetadata;
  readonly file: string;

  constructor(metadata: GgufMetadata, file: string) {
    this.#metadata = metadata;
    this.file = file;
  }

  text(key: string): string | undefined {
    const value = this.#metadata.get(key);
    if (value === undefined || value === null) return undefined;
    if (typeof value !== 'string') throw new FileFormatError(this.file, key, 'is not a string');
    return value;
  }

  flag(key: string): boolean | undefined {
    const value = this.#metadata.get(key);
    return value === undefined || value === null ? undefined : Boolean(value);
  }

  /** A token id below `size`; undefined when absent or out of range (some files say 2^32-1 for "none"). */
  id(key: string, size: number): number | undefined {
    const value = this.#metadata.get(key);
    const id = typeof value === 'bigint' ? Number(value) : value;
    return typeof id === 'number' && Number.isInteger(id) && id >= 0 && id < size ? id : undefined;
  }

  texts(key: string): string[] | undefined {
    const value = this.#metadata.get(key);
    if (value === undefined || value === null) return undefined;
    if (!Array.isArray(value) || !value.every((item) => typeof item === 'string')) {
      throw new FileFormatError(this.file, key, 'is not an array of strings');
    }
    return value;
  }

  numbers(key: string, length: number): ArrayLike<number> | undefined {
    const value = this.#metadata.get(key);
    if (value === undefined || value === null) return undefined;
    const ok = Array.isArray(value)
      ? value.every((item) => typeof item === 'number')
      : ArrayBuffer.isView(value);
    if (!ok) throw new FileFormatError(this.file, key, 'is not an array of numbers');
    const numbers = value as ArrayLike<number>;
    if (numbers.length !== length) {
      throw new FileFormatError(this.file, key, `has ${numbers.length} entries for ${length} tokens`);
    }
    return numbers;
  }

  /** Empty when absent. */
  bytes(key: string): Uint8Array {
    const value = this.#metadata.get(key);
    if (value === undefined || value === null) return new Uint8Array(0);
    const bytes = value instanceof Uint8Array || value instanceof Int8Array;
    if (!bytes && !(Array.isArray(value) && value.every((item) => typeof item === 'number')))
      throw new FileFormatError(this.file, key, 'is not an array of bytes');
    return Uint8Array.from(value as ArrayLike<number>);
  }
}

/**
 * The tokenizer of a GGUF file, or undefined when the file has none. Throws FileFormatError for fields of the wrong type or
 * length and unsupported for vocabularies other than byte-level BPE ("gpt2"), SentencePiece BPE ("llama") and Unigram ("t5").
 */
export function tokenizerFromGguf(metadata: GgufMetadata, file: string): Tokenizer | undefined {
  const fields = new Fields(metadata, file);
  const model = fields.text('tokenizer.ggml.model');
  if (model === undefined || model === 'none' || model === 'no_vocab') return undefined;
  const tokens = fields.texts('tokenizer.ggml.tokens');
  if (!tokens) throw new FileFormatError(file, 'tokenizer.ggml.tokens', 'is missing');
  const { spec, spelled, addBos: byDefault } = specFor(model, tokens, fields);
  const size = tokens.length;
  const bosId = fields.id('tokenizer.ggml.bos_token_id', size);
  const eosId = fields.id('tokenizer.ggml.eos_token_id', size);
  const addBos = fields.flag('tokenizer.ggml.add_bos_token') ?? byDefault;
  const addEos = fields.flag('tokenizer.ggml.add_eos_token') ?? false;
  const special = new Map(
    spec.added_tokens.filter((token) => token.special).map(({ content, id }) => [content, id]),
  );
  return buildTokenizer(
    { ...spec, post_processor: surround(tokens, addBos ? bosId : undefined, addEos ? eosId : undefined) },
    spelled,
    {
      bosId,
      eosIds: endIds(
        [
          eosId,
          fields.id('tokenizer.ggml.eot_token_id', size),
          fields.id('tokenizer.ggml.eom_token_id', size),
        ],
        (token) => special.get(token),
        () => true,
      ),
      chatTemplate: fields.text('tokenizer.chat_template'),
    },
    file,
  );
}

/**
 * tokenizer.json and tokenizer_config.json of a GGUF file's tokenizer, or undefined when it has none. Throws like `tokenizerFromGguf`.
 */
export function tokenizerFiles(
  metadata: GgufMetadata,
  file: string,
): { readonly tokenizer: object; readonly config: object } | undefined {
  const fields = new Fields(metadata, file);
  const model = fields.text('tokenizer.ggml.model');
  const tokens = fields.texts('tokenizer.ggml.tokens');
  if (model === undefined || model === 'none' || model === 'no_vocab' || tokens === undefined)
    return undefined;
  const { spec, spelled, addBos: byDefault } = specFor(model, tokens, fields);
  const id = (name: string): number | undefined =>
    fields.id(`tokenizer.ggml.${name}_token_id`, tokens.length);
  const named = (name: string): string | undefined => {
    const found = id(name);
    return found === undefined ? undefined : tokens[found];
  };
  const addBos = fields.flag('tokenizer.ggml.add_bos_token') ?? byDefault;
  const addEos = fields.flag('tokenizer.ggml.add_eos_token') ?? false;
  // The library `tokenizers` takes ids of added tokens from the vocabulary, refuses merges of tokens that are not in it, and wants every
  // field.
  const vocab = Object.fromEntries(spelled.map((token, i) => [token, i]));
  const processor = surround(tokens, addBos ? id('bos') : undefined, addEos ? id('eos') : undefined);
  const special = [addBos ? id('bos') : undefined, addEos ? id('eos') : undefined].flatMap((i) =>
    i === undefined ? [] : [[tokens[i], { id: tokens[i], ids: [i], tokens: [tokens[i]] }] as const],
  );
  return {
    tokenizer: {
      version: '1.0',
      truncation: null,
      padding: null,
      ...spec,
      post_processor:
        processor === null ? null : { ...processor, special_tokens: Object.fromEntries(special) },
      added_tokens: spec.added_tokens.map((token) => ({
        single_word: false,
        lstrip: false,
        rstrip: false,
        ...token,
      })),
      model:
        spec.model.type === 'Unigram'
          ? spec.model
          : { ...spec.model, vocab, merges: knownMerges(spec.model.merges, vocab) },
    },
    config: {
      tokenizer_class: 'PreTrainedTokenizerFast',
      bos_token: named('bos'),
      eos_token: named('eos'),
      pad_token: named('padding'),
      unk_token: named('unknown'),
      chat_template: fields.text('tokenizer.chat_template'),
    },
  };
}

/** Merges whose parts and result are tokens. */
const knownMerges = (merges: unknown, vocab: Readonly<Record<string, number>>): readonly unknown[] =>
  (Array.isArray(merges) ? merges : []).filter((merge: unknown) => {
    const [left = '', right = ''] = Array.isArray(merge) ? merge : String(merge).split(' ');
    return [left, right, left + right].every((token) => Object.hasOwn(vocab, token));
  });

interface Vocabulary {
  readonly spec: TokenizerSpec;
  /** Tokens by id as the merges spell them. */
  readonly spelled: readonly string[];
  /** Whether texts start with BOS when the file does not say. */
  readonly addBos: boolean;
}

function specFor(model: string, tokens: string[], fields: Fields): Vocabulary {
  if (model === 'gpt2') return byteLevelSpec(tokens, fields);
  if (model === 'llama') return { spec: sentencePieceSpec(tokens, fields), spelled: tokens, addBos: true };
  if (model === 't5') return { spec: unigramOf(tokens, fields), spelled: tokens, addBos: false };
  throw new IngotError(
    'unsupported',
    `${fields.file}: tokenizer.ggml.model: "${model}" is not supported (known: gpt2, llama, t5); put the model's tokenizer.json beside the file, or use token ids`,
    { details: { file: fields.file, model } },
  );
}

/** Merges of tokens that are not there are as if they were not, as in llama.cpp: `skip_unknown_merges`. */
function byteLevelSpec(tokens: string[], fields: Fields): Vocabulary {
  const merges = fields.texts('tokenizer.ggml.merges');
  if (!merges) throw new FileFormatError(fields.file, 'tokenizer.ggml.merges', 'is missing');
  const split = splitFor(fields.text('tokenizer.ggml.pre') ?? 'default');
  const added = addedTokens(tokens, fields);
  const addedIds = new Set(added.map(({ id }) => id));
  // Some converters wrote ordinary tokens as plain text; in the byte alphabet they can be merged.
  const spelled = tokens.map((token, id) => (addedIds.has(id) || isSpelled(token) ? token : spell(token)));
  return {
    spec: {
      added_tokens: added,
      normalizer: split.normalizer,
      pre_tokenizer: split.preTokenizer,
      post_processor: null,
      decoder: { type: 'ByteLevel', add_prefix_space: false, trim_offsets: true, use_regex: false },
      model: {
        type: 'BPE',
        merges,
        skip_unknown_merges: true,
        ignore_merges: split.ignoreMerges,
        byte_fallback: false,
      },
    },
    spelled,
    addBos: split.addBos,
  };
}

function sentencePieceSpec(tokens: string[], fields: Fields): TokenizerSpec {
  const scores = fields.numbers('tokenizer.ggml.scores', tokens.length);
  const merges = fields.texts('tokenizer.ggml.merges') ?? (scores && mergesFromScores(tokens, scores));
  if (!merges) throw new FileFormatError(fields.file, 'tokenizer.ggml.scores', 'is missing');
  // Gemma's texts begin as they are; its first files do not say so.
  const gemma = fields.text('general.architecture')?.startsWith('gemma') ?? false;
  const prefix = fields.flag('tokenizer.ggml.add_space_prefix') ?? !gemma;
  const unknown = tokens[fields.id('tokenizer.ggml.unknown_token_id', tokens.length) ?? 0];
  const spaces = { type: 'Replace', pattern: { String: ' ' }, content: '\u2581' };
  // A run of spaces with their marks is made by merges: looked for in the text it would not be found, and its marks would be decoded.
  const added = addedTokens(tokens, fields).filter(
    ({ content, special }) => special || !content.includes('\u2581'),
  );
  return {
    added_tokens: added,
    normalizer: prefix
      ? { type: 'Sequence', normalizers: [{ type: 'Prepend', prepend: '\u2581' }, spaces] }
      : spaces,
    pre_tokenizer: null,
    post_processor: null,
    decoder: {
      type: 'Sequence',
      decoders: [
        { type: 'Replace', pattern: { String: '\u2581' }, content: ' ' },
        { type: 'ByteFallback' },
        { type: 'Fuse' },
        ...(prefix ? [{ type: 'Strip', content: ' ', start: 1, stop: 0 }] : []),
      ],
    },
    model: {
      type: 'BPE',
      merges,
      skip_unknown_merges: true,
      unk_token: unknown,
      fuse_unk: true,
      byte_fallback: true,
    },
  };
}

/** Texts fall back to bytes where the file has tokens of them. */
function unigramOf(tokens: string[], fields: Fields): TokenizerSpec {
  const scores = fields.numbers('tokenizer.ggml.scores', tokens.length);
  if (!scores) throw new FileFormatError(fields.file, 'tokenizer.ggml.scores', 'is missing');
  const types = fields.numbers('tokenizer.ggml.token_type', tokens.length) ?? [];
  return unigramSpec({
    pieces: tokens,
    scores,
    types,
    byteFallback: Array.from(types).includes(pieceTypes.byte),
    unkId: fields.id('tokenizer.ggml.unknown_token_id', tokens.length) ?? defaultUnknown,
    charsmap: fields.bytes('tokenizer.ggml.precompiled_charsmap'),
    addPrefix: fields.flag('tokenizer.ggml.add_space_prefix') ?? false,
    removeSpaces: fields.flag('tokenizer.ggml.remove_extra_whitespaces') ?? false,
  });
}

/** That of T5, which llama.cpp takes as well. */
const defaultUnknown = 2;

/** Control tokens and the unknown one are special; user-defined ones are matched whole but stay text. */
function addedTokens(tokens: readonly string[], fields: Fields): AddedTokenSpec[] {
  const types = fields.numbers('tokenizer.ggml.token_type', tokens.length);
  const added: AddedTokenSpec[] = [];
  tokens.forEach((content, id) => {
    const type = types?.[id];
    if (content === '') return;
    const special = type === pieceTypes.control || type === pieceTypes.unknown;
    if (special || type === pieceTypes.userDefined) added.push({ id, content, special, normalized: false });
  });
  return added;
}

function surround(tokens: readonly string[], bosId: number | undefined, eosId: number | undefined) {
  if (bosId === undefined && eosId === undefined) return null;
  const special = (id: number | undefined) =>
    id === undefined ? [] : [{ SpecialToken: { id: tokens[id], type_id: 0 } }];
  const single = [...special(bosId), { Sequence: { id: 'A', type_id: 0 } }, ...special(eosId)];
  return { type: 'TemplateProcessing', single, pair: single };
}
