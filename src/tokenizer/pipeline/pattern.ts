// Patterns of a tokenizer.json, and the ways to split at their matches.

import * as library from '@huggingface/tokenizers';
import { FileFormatError, IngotError } from '../../base/errors.ts';
import { isObject, type Json } from '../json.ts';

/** The library gives a translated expression only as the field of such an object, which its types do not tell. */
const { SplitPreTokenizer } = library as unknown as {
  readonly SplitPreTokenizer: new (config: Json) => { readonly pattern: unknown };
};

/** A pattern is a text or a regular expression of Oniguruma's dialect, which the tokenizer library translates. */
export function patternOf(value: unknown, where: string, file: string): RegExp {
  if (typeof value === 'string') return escaped(value);
  if (isObject(value) && typeof value.String === 'string') return escaped(value.String);
  if (!isObject(value) || typeof value.Regex !== 'string') {
    throw new FileFormatError(file, where, 'has no pattern that is a String or a Regex');
  }
  try {
    const { pattern } = new SplitPreTokenizer({ type: 'Split', pattern: { Regex: value.Regex } });
    if (pattern instanceof RegExp) return pattern;
    throw new Error('no translation');
  } catch (cause) {
    throw new IngotError(
      'unsupported',
      `${file}: ${where}: the expression ${JSON.stringify(value.Regex)} cannot be used: ${(cause as Error).message}; use token ids instead of text`,
      { cause, details: { file, expression: value.Regex } },
    );
  }
}

/** An expression that matches `text`. */
export const escapeExpression = (text: string): string => text.replace(/[.*+?^${}()|[\]\\/]/g, '\\$&');

const escaped = (text: string): RegExp => new RegExp(escapeExpression(text), 'gu');

/** The text a pattern stands for; undefined for an expression. */
export const literalOf = (value: Json['pattern']): string | undefined => {
  if (typeof value === 'string') return value;
  return isObject(value) && typeof value.String === 'string' ? value.String : undefined;
};

export const behaviors = [
  'Removed',
  'Isolated',
  'MergedWithPrevious',
  'MergedWithNext',
  'Contiguous',
] as const;
export type Behavior = (typeof behaviors)[number];

export function behaviorOf(value: unknown, where: string, file: string): Behavior {
  const found = behaviors.find((name) => name === value);
  if (found) return found;
  throw new FileFormatError(
    file,
    where,
    `behavior ${JSON.stringify(value)} is none of ${behaviors.join(', ')}`,
  );
}

interface Part {
  readonly from: number;
  to: number;
  readonly match: boolean;
}

/** All of `text` in order: matches, and what is between them. With `invert` matches are what is between. */
function* partsOf(text: string, pattern: RegExp, invert: boolean): Generator<Part, void> {
  let from = 0;
  for (let found = pattern.exec(text); found; found = pattern.exec(text)) {
    const end = found.index + found[0].length;
    if (from < found.index) yield { from, to: found.index, match: invert };
    if (end > found.index) yield { from: found.index, to: end, match: !invert };
    else pattern.lastIndex += (text.codePointAt(end) ?? 0) > 0xffff ? 2 : 1;
    from = end;
  }
  if (from < text.length) yield { from, to: text.length, match: invert };
}

/** Splits `text` at the matches of a global expression. No piece is empty. */
export function* split(
  text: string,
  pattern: RegExp,
  behavior: Behavior,
  invert = false,
): Generator<string, void> {
  // The expression keeps its place between steps: each walk has its own.
  const own = new RegExp(pattern.source, pattern.flags);
  const parts = partsOf(text, own, invert);
  if (behavior === 'Isolated' || behavior === 'Removed') {
    for (const { from, to, match } of parts)
      if (!match || behavior === 'Isolated') yield text.slice(from, to);
    return;
  }
  let held: Part | undefined;
  for (const part of parts) {
    if (held && joins(held, part, behavior)) {
      held = { from: held.from, to: part.to, match: part.match };
    } else {
      if (held) yield text.slice(held.from, held.to);
      held = part;
    }
  }
  if (held) yield text.slice(held.from, held.to);
}

/** Whether a part goes into the piece that ends with `last`. */
function joins(
  last: Part,
  part: Part,
  behavior: 'MergedWithPrevious' | 'MergedWithNext' | 'Contiguous',
): boolean {
  if (behavior === 'Contiguous') return last.match === part.match;
  return behavior === 'MergedWithPrevious' ? part.match && !last.match : last.match && !part.match;
}
