// The parts of a tokenizer.json that Ingot reads itself; everything else is handed on to the tokenizer library as it is.

import { FileFormatError, IngotError } from '../base/errors.ts';
import type { DecodeRule } from './decode.ts';

type Json = Readonly<Record<string, unknown>>;

export interface AddedTokenSpec {
  readonly id: number;
  readonly content: string;
  readonly special?: boolean;
  readonly normalized?: boolean;
  readonly lstrip?: boolean;
  readonly rstrip?: boolean;
  readonly single_word?: boolean;
}

/** A checked tokenizer.json. `model` holds vocabulary and merges. */
export interface TokenizerSpec {
  readonly added_tokens: readonly AddedTokenSpec[];
  readonly normalizer: Json | null;
  readonly pre_tokenizer: Json | null;
  readonly post_processor: Json | null;
  readonly decoder: Json | null;
  readonly model: Json;
}

export const isObject = (value: unknown): value is Json =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

/** Checks the shape of a parsed tokenizer.json. Throws FileFormatError naming the field. */
export function checkSpec(value: unknown, file: string): TokenizerSpec {
  if (!isObject(value)) throw new FileFormatError(file, 'document', 'is not a JSON object');
  const part = (name: string): Json | null => {
    const field = value[name] ?? null;
    if (field !== null && !isObject(field))
      throw new FileFormatError(file, name, 'is neither an object nor null');
    return field;
  };
  const model = part('model');
  if (!model) throw new FileFormatError(file, 'model', 'is missing');
  if (model.type === 'BPE' || model.type === undefined) {
    if (!isObject(model.vocab))
      throw new FileFormatError(file, 'model.vocab', 'is not an object of token -> id');
    if (!Array.isArray(model.merges)) throw new FileFormatError(file, 'model.merges', 'is not an array');
  }
  return {
    added_tokens: checkAddedTokens(value.added_tokens ?? [], file),
    normalizer: part('normalizer'),
    pre_tokenizer: part('pre_tokenizer'),
    post_processor: part('post_processor'),
    decoder: part('decoder'),
    model: model.type === undefined && 'merges' in model ? { ...model, type: 'BPE' } : model,
  };
}

// Ids index an array: a hostile file must not make it huge.
const maxId = 4_000_000;

/** Tokens by id of a tokenizer.json, added tokens included. Throws FileFormatError for an impossible id. */
export function tokensOf(spec: TokenizerSpec, file: string): (string | undefined)[] {
  const tokens: (string | undefined)[] = [];
  const add = (token: string, id: unknown): void => {
    if (typeof id !== 'number' || !Number.isInteger(id) || id < 0 || id > maxId) {
      throw new FileFormatError(
        file,
        `model.vocab["${token}"]`,
        `id ${String(id)} is not an integer in 0..${maxId}`,
      );
    }
    tokens[id] = token;
  };
  const { vocab } = spec.model;
  if (Array.isArray(vocab)) {
    vocab.forEach((entry: unknown, id) => {
      if (!Array.isArray(entry))
        throw new FileFormatError(file, `model.vocab[${id}]`, 'is not a [token, score] pair');
      add(String(entry[0]), id);
    });
  } else if (isObject(vocab)) {
    for (const token of Object.keys(vocab)) add(token, vocab[token]);
  }
  for (const token of spec.added_tokens) add(token.content, token.id);
  return tokens;
}

function checkAddedTokens(value: unknown, file: string): AddedTokenSpec[] {
  if (!Array.isArray(value)) throw new FileFormatError(file, 'added_tokens', 'is not an array');
  return value.map((token: unknown, i) => {
    if (!isObject(token) || typeof token.content !== 'string' || !Number.isSafeInteger(token.id)) {
      throw new FileFormatError(file, `added_tokens[${i}]`, 'has no integer id and string content');
    }
    return token as unknown as AddedTokenSpec;
  });
}

/** The rule by which a tokenizer.json decodes. Throws unsupported, naming the decoder, for one that is not token by token. */
export function decodeRule(decoder: Json | null, file: string): DecodeRule {
  if (decoder === null) return { kind: 'plain', stripLeadingSpace: false };
  const steps = flatten(decoder);
  const types = steps.map((step) => String(step.type));
  if (types.length === 1 && types[0] === 'ByteLevel') return { kind: 'byte-level', stripLeadingSpace: false };
  const known = new Set(['Replace', 'ByteFallback', 'Fuse', 'Strip', 'Metaspace']);
  const strange = types.find((type) => !known.has(type));
  if (strange !== undefined) {
    throw new IngotError(
      'unsupported',
      `${file}: decoder "${strange}" is not supported; use token ids instead of text`,
      {
        details: { file, decoder: strange },
      },
    );
  }
  const strips = steps.some(
    (step) =>
      (step.type === 'Strip' && step.content === ' ' && Number(step.start ?? 0) > 0) ||
      (step.type === 'Metaspace' && step.prepend_scheme !== 'never' && step.add_prefix_space !== false),
  );
  return { kind: 'sentencepiece', stripLeadingSpace: strips };
}

function flatten(decoder: Json): Json[] {
  if (decoder.type !== 'Sequence') return [decoder];
  const parts = decoder.decoders;
  return Array.isArray(parts) ? parts.filter(isObject).flatMap(flatten) : [];
}
