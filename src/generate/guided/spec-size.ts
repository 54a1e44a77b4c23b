// How large a spec is, before anything is made of it.

import { IngotError } from '../../base/errors.ts';
import type { ConstraintSpec } from './spec.ts';

/** Values of a spec, and characters of all its texts: beyond these it is no description of an answer. */
const maxValues = 200_000;
const maxCharacters = 4_000_000;
/** Characters of one text: no answer is as long. */
const maxText = 1_000_000;
/** Depth of a spec: what reads it goes down as deep. */
const maxNesting = 500;
/** Values and characters up to which the JSON of a spec is made to find its grammar again. */
const keepableSize = 200_000;
/** Values between turns. */
const valuesPerTurn = 1024;

export interface Measure {
  /** Small enough to be found again by its JSON. */
  readonly keepable: boolean;
  /** Texts that name Unicode properties. */
  readonly patterns: readonly string[];
}

/** Throws invalid_argument for a spec that is too large. */
export function* measure(spec: ConstraintSpec): Generator<void, Measure, void> {
  const patterns: string[] = [];
  let [count, characters] = [0, 0];
  function* valuesOf(object: Readonly<Record<string, unknown>>): Generator<unknown> {
    for (const key of Object.keys(object)) {
      characters += key.length;
      yield object[key];
    }
  }
  // By levels that are gone through one value after another, however many there are in one.
  const levels: Iterator<unknown>[] = [[spec].values()];
  for (let level = levels.at(-1); level !== undefined; level = levels.at(-1)) {
    const { value, done } = level.next();
    if (done === true) {
      levels.pop();
      continue;
    }
    if (++count > maxValues) throw tooLarge(`${maxValues} values`);
    if (levels.length > maxNesting + 1) throw tooLarge(`values nested ${maxNesting} deep`);
    if (typeof value === 'string') {
      characters += value.length;
      if (value.length > maxText) throw tooLarge(`texts of ${maxText} characters`);
      if (value.length < 20_000 && /\\[pP]\{/.test(value)) patterns.push(value);
    } else if (Array.isArray(value)) {
      levels.push(value.values());
    } else if (typeof value === 'object' && value !== null) {
      levels.push(valuesOf(value as Readonly<Record<string, unknown>>));
    }
    if (characters > maxCharacters) throw tooLarge(`${maxCharacters} characters`);
    if (count % valuesPerTurn === 0) yield;
  }
  return { keepable: count + characters < keepableSize, patterns };
}

const tooLarge = (most: string): IngotError =>
  new IngotError('invalid_argument', `a schema may have ${most}, and this one has more`);
