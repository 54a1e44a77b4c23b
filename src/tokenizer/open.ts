// The tokenizer of a model, from what comes with its weights: tokenizer.json and the small files beside it, or GGUF metadata.

import { FileFormatError, IngotError } from '../base/errors.ts';
import { buildTokenizer } from './build.ts';
import { type GgufMetadata, tokenizerFromGguf } from './gguf.ts';
import { isObject, type Json } from './json.ts';
import { asJson, sentencePieceDocument } from './sentencepiece.ts';
import { checkSpec, type TokenizerSpec, tokensOf } from './spec.ts';
import type { Tokenizer } from './tokenizer.ts';
import { endIds } from './turns.ts';

/** Where a model's small files and metadata are: an open checkpoint fits. */
export interface TokenizerSource {
  /** For messages. */
  readonly path: string;
  readonly metadata?: GgufMetadata | undefined;
  /** Contents of a file that belongs to the model; undefined when there is none of this name. */
  readFile(name: string): Promise<Uint8Array | undefined>;
}

/**
 * The tokenizer of a model; undefined when the model has none, so it works with token ids. A tokenizer.json wins over metadata.
 * Throws FileFormatError for damaged files and unsupported for tokenizers that cannot be built.
 */
export async function openTokenizer(source: TokenizerSource): Promise<Tokenizer | undefined> {
  const found = await tokenizerDocument(source);
  if (found !== undefined) return await fromFiles(source, found.document, found.file);
  if (source.metadata) return tokenizerFromGguf(source.metadata, source.path);
  if (await source.readFile('vocab.json')) {
    throw new IngotError(
      'unsupported',
      `${source.path}: has a vocab.json, which does not say how texts are cut; ${asJson}`,
    );
  }
  return undefined;
}

/** What models of SentencePiece are called. */
const pieceModels = ['tokenizer.model', 'spiece.model', 'sentencepiece.bpe.model'];

/**
 * The tokenizer.json of a model, or the one that its model of SentencePiece stands for where there is no other tokenizer; undefined:
 * neither is there. Throws as `openTokenizer`.
 */
export async function tokenizerDocument(
  source: TokenizerSource,
): Promise<{ readonly document: unknown; readonly file: string } | undefined> {
  const document = await readJson(source, 'tokenizer.json');
  if (document !== undefined) return { document, file: `${source.path}/tokenizer.json` };
  if (source.metadata) return undefined;
  for (const name of pieceModels) {
    const bytes = await source.readFile(name);
    const file = `${source.path}/${name}`;
    if (bytes) return { document: await fromPieces(source, bytes, file), file };
  }
  return undefined;
}

async function fromPieces(source: TokenizerSource, bytes: Uint8Array, file: string): Promise<Json> {
  const config = await readObject(source, 'tokenizer_config.json');
  const flag = (key: string): boolean | undefined =>
    typeof config[key] === 'boolean' ? config[key] : undefined;
  const document = sentencePieceDocument(bytes, file, {
    addBos: flag('add_bos_token'),
    addEos: flag('add_eos_token'),
  });
  return { ...document, added_tokens: await addedTokens(source, document, config) };
}

/** Tokens that the model's makers added to those of the file. */
async function addedTokens(
  source: TokenizerSource,
  document: Json,
  config: Json,
): Promise<readonly unknown[]> {
  const own = Array.isArray(document.added_tokens) ? document.added_tokens.filter(isObject) : [];
  const known = new Map<unknown, Json>(own.map((token) => [token.id, token]));
  const listed = await readObject(source, 'added_tokens.json');
  for (const [content, id] of Object.entries(listed)) known.set(id, { id, content, special: false });
  const decoder = isObject(config.added_tokens_decoder) ? config.added_tokens_decoder : {};
  for (const [id, token] of Object.entries(decoder))
    if (isObject(token)) known.set(Number(id), { ...token, id: Number(id) });
  return [...known.values()];
}

/**
 * As `openTokenizer`, where one that is refused does not stop a model, which goes on with token ids: `refused` says why. Throws
 * FileFormatError for damaged files.
 */
export async function findTokenizer(
  source: TokenizerSource,
): Promise<{ readonly tokenizer: Tokenizer | undefined; readonly refused?: string }> {
  try {
    return { tokenizer: await openTokenizer(source) };
  } catch (error) {
    if (error instanceof IngotError && error.code === 'unsupported')
      return { tokenizer: undefined, refused: error.message };
    throw error;
  }
}

const utf8 = new TextDecoder();

async function readText(source: TokenizerSource, name: string): Promise<string | undefined> {
  const bytes = await source.readFile(name);
  return bytes && utf8.decode(bytes);
}

async function readJson(source: TokenizerSource, name: string): Promise<unknown> {
  const text = await readText(source, name);
  if (text === undefined) return undefined;
  try {
    return JSON.parse(text);
  } catch (cause) {
    throw new FileFormatError(
      `${source.path}/${name}`,
      'document',
      `is not JSON (${(cause as Error).message})`,
      { cause },
    );
  }
}

const readObject = async (source: TokenizerSource, name: string): Promise<Json> => {
  const value = await readJson(source, name);
  return isObject(value) ? value : {};
};

async function fromFiles(source: TokenizerSource, document: unknown, file: string): Promise<Tokenizer> {
  const [config, specials, generation, model, template] = await Promise.all([
    readObject(source, 'tokenizer_config.json'),
    readObject(source, 'special_tokens_map.json'),
    readObject(source, 'generation_config.json'),
    readObject(source, 'config.json'),
    readTemplate(source),
  ]);
  const spec = checkSpec(document, file);
  const idOf = idLookup(spec);
  const named = (key: string): number | undefined => {
    const token = tokenText(config[key]) ?? tokenText(specials[key]);
    return token === undefined ? undefined : idOf(token);
  };
  const special = new Set(spec.added_tokens.filter((token) => token.special === true).map(({ id }) => id));
  const ends = [named('eos_token'), ...ids(generation.eos_token_id), ...ids(model.eos_token_id)];
  return buildTokenizer(
    spec,
    tokensOf(spec, file),
    {
      bosId: named('bos_token') ?? ids(model.bos_token_id)[0],
      eosIds: endIds(ends, idOf, (id) => special.has(id)),
      chatTemplate: template ?? pickTemplate(config.chat_template),
    },
    file,
  );
}

function idLookup(spec: TokenizerSpec): (token: string) => number | undefined {
  const added = new Map(spec.added_tokens.map(({ content, id }) => [content, id]));
  const vocab = spec.model.vocab;
  return (token) => {
    const id =
      added.get(token) ?? (isObject(vocab) && Object.hasOwn(vocab, token) ? vocab[token] : undefined);
    return typeof id === 'number' ? id : undefined;
  };
}

const tokenText = (value: unknown): string | undefined => {
  if (typeof value === 'string') return value;
  return isObject(value) && typeof value.content === 'string' ? value.content : undefined;
};

const ids = (value: unknown): number[] =>
  (Array.isArray(value) ? value : [value]).filter((id): id is number => Number.isInteger(id) && id >= 0);

async function readTemplate(source: TokenizerSource): Promise<string | undefined> {
  const jinja = await readText(source, 'chat_template.jinja');
  if (jinja !== undefined) return jinja;
  return pickTemplate((await readObject(source, 'chat_template.json')).chat_template);
}

/** A template, or the one named "default" of a list of named templates. */
function pickTemplate(value: unknown): string | undefined {
  if (typeof value === 'string') return value;
  if (!Array.isArray(value)) return undefined;
  const entries = value.filter(isObject);
  const chosen = entries.find((entry) => entry.name === 'default') ?? entries[0];
  return typeof chosen?.template === 'string' ? chosen.template : undefined;
}
