// Post-processors of a tokenizer.json: what stands around the tokens of a text.

import { FileFormatError, IngotError } from '../../base/errors.ts';
import { isObject, type Json } from '../json.ts';

/** Tokens before and after those of a text. */
export interface Around {
  readonly before: readonly number[];
  readonly after: readonly number[];
}

/** The id of a token, when there is one. */
type IdOf = (token: string) => number | undefined;

const nothing: Around = { before: [], after: [] };

/** Throws `unsupported` for a kind that is not known or that leaves the text out or repeats it. */
export function aroundOf(json: Json | null, idOf: IdOf, file: string): Around {
  if (json === null) return nothing;
  const type = String(json.type);
  switch (type) {
    case 'ByteLevel':
      return nothing;
    case 'BertProcessing':
    case 'RobertaProcessing':
      return { before: [pairId(json.cls, 'cls', file)], after: [pairId(json.sep, 'sep', file)] };
    case 'TemplateProcessing':
      return template(json, idOf, file);
    case 'Sequence': {
      if (!Array.isArray(json.processors))
        throw new FileFormatError(file, 'post_processor.processors', 'is not an array');
      // Each goes around what the one before it made.
      return json.processors.filter(isObject).reduce((inner: Around, part) => {
        const { before, after } = aroundOf(part, idOf, file);
        return { before: [...before, ...inner.before], after: [...inner.after, ...after] };
      }, nothing);
    }
    default:
      throw new IngotError(
        'unsupported',
        `${file}: post-processor "${type}" is not known; use token ids instead of text`,
        { details: { file, postProcessor: type } },
      );
  }
}

function pairId(value: unknown, name: string, file: string): number {
  const id: unknown = Array.isArray(value) ? value[1] : undefined;
  if (typeof id === 'number' && Number.isSafeInteger(id)) return id;
  throw new FileFormatError(file, `post_processor.${name}`, 'is not a pair of token and id');
}

function template(json: Json, idOf: IdOf, file: string): Around {
  const wrong = (problem: string) => new FileFormatError(file, 'post_processor.single', problem);
  if (!Array.isArray(json.single)) throw wrong('is not an array');
  const before: number[] = [];
  const after: number[] = [];
  let texts = 0;
  for (const part of json.single.filter(isObject)) {
    if (isObject(part.Sequence)) texts++;
    else if (isObject(part.SpecialToken))
      (texts === 0 ? before : after).push(...specialIds(part.SpecialToken.id, json, idOf, file));
    else throw wrong(`has a part that is neither a Sequence nor a SpecialToken: ${JSON.stringify(part)}`);
  }
  if (texts !== 1) throw wrong(`has the text ${texts} times`);
  return { before, after };
}

/** The ids a name stands for: the template's own table, or the token of that name. */
function specialIds(name: unknown, { special_tokens: table }: Json, idOf: IdOf, file: string): number[] {
  const entry =
    isObject(table) && typeof name === 'string' && Object.hasOwn(table, name) ? table[name] : undefined;
  if (isObject(entry) && Array.isArray(entry.ids))
    return entry.ids.filter((id): id is number => Number.isSafeInteger(id));
  const id = typeof name === 'string' ? idOf(name) : undefined;
  if (id !== undefined) return [id];
  throw new FileFormatError(file, 'post_processor.special_tokens', `has no ${JSON.stringify(name)}`);
}
