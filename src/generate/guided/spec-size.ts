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
  const todo: (readonly [unknown, number])[] = [[spec, 0]];
  for (let next = todo.pop(); next !== undefined; next = todo.pop()) {
    const [value, depth] = next;
    if (++count > maxValues) throw tooLarge(`${maxValues} values`);
    if (depth > maxNesting) throw tooLarge(`values nested ${maxNesting} deep`);
    if (typeof value === 'string') {
      characters += value.length;
      if (value.length > maxText) throw tooLarge(`texts of ${maxText} characters`);
      if (value.length < 20_000 && /\\[pP]\{/.test(value)) patterns.push(value);
    } else if (typeof value === 'object' && value !== null) {
      for (const [key, inner] of Object.entries(value)) {
        characters += key.length;
        todo.push([inner, depth + 1]);
      }
    }
    if (characters > maxCharacters) throw tooLarge(`${maxCharacters} characters`);
    if (count % valuesPerTurn === 0) yield;
  }
  return { keepable: count + characters < keepableSize, patterns };
}

const tooLarge = (most: string): IngotError =>
  new IngotError('invalid_argument', `a schema may have ${most}, and this one has more`);
