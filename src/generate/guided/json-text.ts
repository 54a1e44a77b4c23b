// The texts of JSON: https://www.rfc-editor.org/rfc/rfc8259. Strings are spelled as `JSON.stringify` spells them, so that
// one value has one spelling and patterns and lengths can be followed; whitespace is bounded, so that a model cannot pad.

import { anyCodePoint, character, intersect, without } from './code-points.ts';
import {
  alt,
  bytes,
  call,
  empty,
  literal,
  optional,
  type Ranges,
  repeat,
  rule,
  seq,
  shared,
  type Term,
} from './term.ts';

const digit = bytes([[0x30, 0x39]]);
const digit19 = bytes([[0x31, 0x39]]);
const hex = bytes([
  [0x30, 0x39],
  [0x41, 0x46],
  [0x61, 0x66],
]);

/** Nothing, a space, or a new line with its indentation. */
export const space = optional(
  alt(literal(' '), seq(literal('\n'), alt(repeat(literal(' '), 0, 40), repeat(literal('\t'), 1, 10)))),
);

/** Characters a string may hold as they are. */
const plain = without(anyCodePoint, [
  [0, 0x1f],
  [0x22, 0x22],
  [0x5c, 0x5c],
]);

const spellings = new WeakMap<Ranges, Term>();

/** One character of the set, inside a string, as `JSON.stringify` spells it. */
export function stringCharacter(set: Ranges): Term {
  let made = spellings.get(set);
  if (!made) {
    const asEscapes = intersect(set, without(anyCodePoint, plain)).flatMap(([low, high]) =>
      Array.from({ length: high - low + 1 }, (_, i) =>
        literal(JSON.stringify(String.fromCharCode(low + i)).slice(1, -1)),
      ),
    );
    made = alt(character(intersect(set, plain)), ...asEscapes);
    spellings.set(set, made);
  }
  return made;
}

/** Any character, spelled in one way. */
export const canonicalCharacter = stringCharacter(anyCodePoint);

const hexIn = (digits: string): Term => alt(...Array.from(digits, literal));
const code = (first: Term, second: Term): Term => seq(literal('\\u'), first, second, hex, hex);

/** Any character of a string, also with `\/` and escapes by number, which come in pairs above U+FFFF. */
const looseCharacter = alt(
  canonicalCharacter,
  literal('\\/'),
  code(hexIn('0123456789abcefABCEF'), hex),
  code(hexIn('dD'), hexIn('01234567')),
  seq(code(hexIn('dD'), hexIn('89abAB')), code(hexIn('dD'), hexIn('cdefCDEF'))),
);

export const quoted = (content: Term): Term => seq(literal('"'), content, literal('"'));
export const anyString = shared(quoted(repeat(looseCharacter)));

/** Up to 40 digits: more than integers of 128 bits have, and a model cannot run away with them. */
const wholeDigits = alt(literal('0'), seq(digit19, repeat(digit, 0, 39)));
export const anyInteger = seq(optional(literal('-')), wholeDigits);
export const anyNumber = seq(
  anyInteger,
  optional(seq(literal('.'), repeat(digit, 1, 40))),
  optional(seq(hexIn('eE'), optional(hexIn('+-')), digit, optional(digit))),
);

export const comma = seq(space, literal(','), space);
export const colon = seq(space, literal(':'), space);

const enclosed = (open: string, content: Term, close: string): Term =>
  seq(literal(open), space, content, space, literal(close));
export const enclosedObject = (members: Term): Term => enclosed('{', members, '}');
export const enclosedArray = (items: Term): Term => enclosed('[', items, ']');

/** `part`, at least `min` and at most `max` times, with commas between. */
export function commaSeparated(part: Term, min = 0, max = Number.POSITIVE_INFINITY): Term {
  if (max === 0) return empty;
  const some = seq(part, repeat(seq(comma, part), Math.max(0, min - 1), max - 1));
  return min === 0 ? optional(some) : some;
}

const value = rule('JSON value');
export const anyValue = call(value);
export const anyMember = seq(anyString, colon, anyValue);
export const anyObject = enclosedObject(commaSeparated(anyMember));
export const anyArray = enclosedArray(commaSeparated(anyValue));
export const anyBoolean = alt(literal('true'), literal('false'));
export const nullText = literal('null');
value.term = alt(anyObject, anyArray, anyString, anyNumber, anyBoolean, nullText);
