// Tokenizers in model folders: tokenizer.json with the small files that stand beside it.

import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { FileFormatError } from '../base/errors.ts';
import { buildTokenizer } from './build.ts';
import { checkSpec, isObject, type TokenizerSpec, tokensOf } from './spec.ts';
import type { Tokenizer } from './tokenizer.ts';
import { endIds } from './turns.ts';

type Json = Readonly<Record<string, unknown>>;

async function readText(path: string): Promise<string | undefined> {
  try {
    return await readFile(path, 'utf8');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw error;
  }
}

async function readJson(path: string): Promise<unknown> {
  const text = await readText(path);
  if (text === undefined) return undefined;
  try {
    return JSON.parse(text);
  } catch (cause) {
    throw new FileFormatError(path, 'document', `is not JSON (${(cause as Error).message})`, { cause });
  }
}

const readObject = async (path: string): Promise<Json> => {
  const value = await readJson(path);
  return isObject(value) ? value : {};
};

/** The tokenizer of a model folder, or undefined when it has no tokenizer.json. */
export async function tokenizerFromFolder(folder: string): Promise<Tokenizer | undefined> {
  const file = join(folder, 'tokenizer.json');
  const document = await readJson(file);
  if (document === undefined) return undefined;
  const [config, specials, generation, model, template] = await Promise.all([
    readObject(join(folder, 'tokenizer_config.json')),
    readObject(join(folder, 'special_tokens_map.json')),
    readObject(join(folder, 'generation_config.json')),
    readObject(join(folder, 'config.json')),
    readTemplate(folder),
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
      config: librarySettings(config),
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

async function readTemplate(folder: string): Promise<string | undefined> {
  const jinja = await readText(join(folder, 'chat_template.jinja'));
  if (jinja !== undefined) return jinja;
  const json = await readObject(join(folder, 'chat_template.json'));
  return pickTemplate(json.chat_template);
}

/** A template, or the one named "default" of a list of named templates. */
function pickTemplate(value: unknown): string | undefined {
  if (typeof value === 'string') return value;
  if (!Array.isArray(value)) return undefined;
  const entries = value.filter(isObject);
  const chosen = entries.find((entry) => entry.name === 'default') ?? entries[0];
  return typeof chosen?.template === 'string' ? chosen.template : undefined;
}

/** Only settings that change how text is cut; decoding is Ingot's own. */
function librarySettings(config: Json): Json {
  const names = ['tokenizer_class', 'remove_space', 'do_lowercase_and_remove_accent'];
  return Object.fromEntries(
    names.filter((name) => config[name] !== undefined).map((name) => [name, config[name]]),
  );
}
