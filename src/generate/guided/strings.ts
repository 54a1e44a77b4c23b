// Strings of a shape as texts of JSON. Equal shapes are one term, whose automaton and masks all grammars share.

import { anyCodePoint, character } from './code-points.ts';
import { anyString as anyStringText, canonicalCharacter, quoted, stringCharacter } from './json-text.ts';
import { asIs, eachMade, type Patience, type Work } from './patience.ts';
import { anywhere, type Spelling, wholeMatch } from './pattern.ts';
import { stringFormats } from './schema-formats.ts';
import { anyString, type StringShape } from './schema-shape.ts';
import { alt, both, never, not, oneOfMany, repeat, type Shared, shared, type Term } from './term.ts';

/** Terms of strings that are kept. */
const maxKept = 500;
const kept = new Map<string, Shared>();
/** Values left out by what is found again: more would be as much to keep. */
const maxKeyed = 100;

/** Strings whose lengths alone are bounded: one automaton follows them all, so that they share masks. */
const ofAnyLength = quoted(repeat(canonicalCharacter));
export const canonicalString = shared(ofAnyLength);

/** The texts of strings of a shape, with their quotes. Yields where the patience is over. */
export function* stringText(shape: StringShape, patience: Patience): Work<Term> {
  if (shape.values) return yield* valuesText(shape.values, patience);
  return isAnyString(shape) ? anyStringText : yield* canonicalText(shape, patience);
}

/** Given values as texts of JSON. */
export function* valuesText(values: readonly (string | number)[], patience: Patience): Work<Term> {
  return yield* oneOfMany(yield* eachMade(values, patience, (value) => JSON.stringify(value)), patience);
}

export const isAnyString = (shape: StringShape): boolean =>
  Object.keys(shape).every((key) => {
    const value = shape[key as keyof StringShape];
    return Array.isArray(value) ? value.length === 0 : value === anyString[key as keyof StringShape];
  });

/** The same, each string in one spelling. */
export function* canonicalText(shape: StringShape, patience: Patience): Work<Shared> {
  const key = shape.notValues.length > maxKeyed ? undefined : JSON.stringify(shape);
  let term = key === undefined ? undefined : kept.get(key);
  if (!term) {
    const content = yield* stringContent(shape, patience, stringCharacter);
    const isLength = content.kind === 'repeat' && content.part === canonicalCharacter;
    term = shared(quoted(content), isLength ? ofAnyLength : undefined);
  }
  if (key === undefined) return term;
  kept.delete(key);
  kept.set(key, term);
  const [oldest] = kept.keys();
  if (kept.size > maxKept && oldest !== undefined) kept.delete(oldest);
  return term;
}

/** What is between the quotes, or, with another spelling, the text itself. */
export function* stringContent(
  shape: StringShape,
  patience: Patience,
  spell: Spelling = character,
): Work<Term> {
  const spelled = (values: readonly string[]): Work<readonly string[]> =>
    spell === character
      ? asIs(values)
      : eachMade(values, patience, (value) => JSON.stringify(value).slice(1, -1));
  if (shape.values) return yield* oneOfMany(yield* spelled(shape.values), patience);
  const texts = yield* spelled(shape.notValues);
  // One opposite of all of them has fewer states than an opposite of each.
  const refused = [
    ...shape.notPatterns.map((pattern) => anywhere(pattern, spell)),
    ...(texts.length > 0 ? [yield* oneOfMany(texts, patience)] : []),
  ];
  const parts = [
    ...shape.patterns.map((pattern) => anywhere(pattern, spell)),
    ...shape.formats.map((format) => wholeMatch(stringFormats[format] ?? '', spell)),
    ...(refused.length > 0 ? [not(alt(...refused))] : []),
  ];
  const { min, max } = shape;
  const isOpen = parts.length === 0 || parts.every(({ kind }) => kind === 'not');
  const isBounded = min > 0 || max < Number.POSITIVE_INFINITY;
  const length = max < min ? never : repeat(spell(anyCodePoint), min, max);
  if (parts.length === 0) return length;
  const all = parts.reduce((left, right) => both(left, right));
  if (!isBounded && !isOpen) return all;
  return both(all, length, parts.length === 1 ? wayToEnd(all) : undefined);
}

/** How many characters the shortest way to an end may have, from anywhere in a text; undefined where that is hard to say. */
function wayToEnd(term: Term): number | undefined {
  const all = (terms: readonly Term[]): readonly (number | undefined)[] => terms.map(wayToEnd);
  switch (term.kind) {
    case 'empty':
      return 0;
    case 'bytes':
      return 1;
    case 'seq':
      return all([term.first, term.second]).reduce((a, b) =>
        a === undefined || b === undefined ? undefined : a + b,
      );
    case 'alt':
      return all(term.options).reduce((a, b) =>
        a === undefined || b === undefined ? undefined : Math.max(a, b),
      );
    case 'repeat': {
      const part = wayToEnd(term.part);
      return part === undefined ? undefined : part * (term.min + 1);
    }
    default:
      return undefined;
  }
}
