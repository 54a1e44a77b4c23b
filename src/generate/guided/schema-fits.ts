// Whether one given value is of a shape: for the values of an enum, and for the names of properties.

import { Automaton, follows } from './automaton.ts';
import { character } from './code-points.ts';
import { isMultiple } from './number.ts';
import { anywhere, wholeMatch } from './pattern.ts';
import { stringFormats } from './schema-formats.ts';
import type { NumberShape, StringShape } from './schema-shape.ts';

/** Automata of patterns that are kept. */
const maxKept = 500;
const kept = new Map<string, Automaton>();

function automatonOf(kind: 'pattern' | 'format', text: string): Automaton {
  const key = `${kind}:${text}`;
  let automaton = kept.get(key);
  if (!automaton || automaton.isLarge) {
    automaton = Automaton.of(kind === 'pattern' ? anywhere(text, character) : wholeMatch(text, character));
  }
  kept.delete(key);
  kept.set(key, automaton);
  const [oldest] = kept.keys();
  if (kept.size > maxKept && oldest !== undefined) kept.delete(oldest);
  return automaton;
}

const sets = new WeakMap<readonly unknown[], ReadonlySet<unknown>>();

/** Whether a list has a value: of long ones that are asked again and again, a set is kept. */
function isAmong<T>(list: readonly T[], value: T): boolean {
  if (list.length < 16) return list.includes(value);
  let set = sets.get(list);
  if (!set) {
    set = new Set(list);
    sets.set(list, set);
  }
  return set.has(value);
}

export const patternMatches = (pattern: string, text: string): boolean =>
  follows(automatonOf('pattern', pattern), text);

export function fitsString(text: string, shape: StringShape): boolean {
  const { min, max } = shape;
  if (shape.values && !isAmong(shape.values, text)) return false;
  if (isAmong(shape.notValues, text)) return false;
  if (min > 0 || max < text.length) {
    let length = 0;
    for (const _ of text) length++;
    if (length < min || length > max) return false;
  }
  return (
    shape.patterns.every((pattern) => patternMatches(pattern, text)) &&
    !shape.notPatterns.some((pattern) => patternMatches(pattern, text)) &&
    shape.formats.every((format) => follows(automatonOf('format', stringFormats[format] ?? ''), text))
  );
}

export function fitsNumber(value: number, shape: NumberShape): boolean {
  if (shape.values && !isAmong(shape.values, value)) return false;
  return (
    (!shape.integer || Number.isInteger(value)) &&
    (!shape.fraction || !Number.isInteger(value)) &&
    value >= (shape.minimum ?? -Infinity) &&
    value <= (shape.maximum ?? Infinity) &&
    value > (shape.exclusiveMinimum ?? -Infinity) &&
    value < (shape.exclusiveMaximum ?? Infinity) &&
    shape.multiples.every((step) => isMultiple(value, step)) &&
    !shape.notMultiples.some((step) => isMultiple(value, step)) &&
    !isAmong(shape.notValues, value)
  );
}
