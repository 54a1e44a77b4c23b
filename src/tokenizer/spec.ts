// The shape of a tokenizer.json. Its components are read by the files of `pipeline/`.

import { FileFormatError, IngotError } from '../base/errors.ts';
import { isObject, type Json } from './json.ts';

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
  const type = modelType(model, file);
  if (type !== 'Unigram' && !isObject(model.vocab))
    throw new FileFormatError(file, 'model.vocab', 'is not an object of token -> id');
  if (type === 'BPE' && !Array.isArray(model.merges))
    throw new FileFormatError(file, 'model.merges', 'is not an array');
  return {
    added_tokens: checkAddedTokens(value.added_tokens ?? [], file),
    normalizer: part('normalizer'),
    pre_tokenizer: part('pre_tokenizer'),
    post_processor: part('post_processor'),
    decoder: part('decoder'),
    model: { ...model, type },
  };
}

const modelTypes = ['BPE', 'Unigram', 'WordPiece', 'WordLevel'];

/** The kind of a model; old files do not say, but its fields do. */
function modelType(model: Json, file: string): string {
  const { type, vocab } = model;
  if (type === undefined || type === null) {
    if ('merges' in model) return 'BPE';
    if (Array.isArray(vocab)) return 'Unigram';
    return 'continuing_subword_prefix' in model ? 'WordPiece' : 'WordLevel';
  }
  if (modelTypes.includes(type as string)) return type as string;
  throw new IngotError(
    'unsupported',
    `${file}: tokenizer model ${JSON.stringify(type)} is not known (known: ${modelTypes.join(', ')}); use token ids instead of text`,
    { details: { file, model: type } },
  );
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
