// Reads regular expressions of ECMAScript: the dialect that JSON Schema's `pattern` is written in.
// https://262.ecma-international.org/#sec-patterns

import { IngotError } from '../../base/errors.ts';
import { anyCodePoint, union, without } from './code-points.ts';
import type { Ranges } from './term.ts';
import { propertySet } from './unicode.ts';

export type Node =
  | { readonly kind: 'set'; readonly set: Ranges }
  | { readonly kind: 'seq'; readonly parts: readonly Node[] }
  | { readonly kind: 'alt'; readonly options: readonly Node[] }
  | { readonly kind: 'repeat'; readonly part: Node; readonly min: number; readonly max: number }
  | Assertion;

/** Something that must hold between two characters. */
export type Assertion =
  | { readonly kind: 'anchor'; readonly at: '^' | '$' }
  | { readonly kind: 'boundary'; readonly negated: boolean }
  | { readonly kind: 'look'; readonly back: boolean; readonly negated: boolean; readonly node: Node };

export const unsupported = (pattern: string, what: string): IngotError =>
  new IngotError(
    'unsupported',
    `the pattern ${JSON.stringify(pattern.slice(0, 200))} has ${what}, which cannot be followed`,
    {
      details: { pattern: pattern.slice(0, 200) },
    },
  );

const wrong = (pattern: string, at: number, what: string): IngotError =>
  new IngotError(
    'invalid_argument',
    `the pattern ${JSON.stringify(pattern.slice(0, 200))} is wrong at ${at}: ${what}`,
    { details: { pattern: pattern.slice(0, 200), at } },
  );

/** Characters of a pattern: longer ones are no patterns that somebody wrote. */
const maxLength = 20_000;

export function parse(pattern: string): Node {
  if (pattern.length > maxLength) {
    throw wrong(pattern, maxLength, `it has ${pattern.length} characters, and may have ${maxLength}`);
  }
  return new Parser(pattern).parse();
}

const digits: Ranges = [[0x30, 0x39]];
export const word: Ranges = [
  [0x30, 0x39],
  [0x41, 0x5a],
  [0x5f, 0x5f],
  [0x61, 0x7a],
];
const spaces: Ranges = union([
  [0x09, 0x0d],
  [0x20, 0x20],
  [0xa0, 0xa0],
  [0x1680, 0x1680],
  [0x2000, 0x200a],
  [0x2028, 0x2029],
  [0x202f, 0x202f],
  [0x205f, 0x205f],
  [0x3000, 0x3000],
  [0xfeff, 0xfeff],
]);
const lineEnds: Ranges = [
  [0x0a, 0x0a],
  [0x0d, 0x0d],
  [0x2028, 0x2029],
];
const dot: Ranges = without(anyCodePoint, lineEnds);

const classes: Readonly<Record<string, Ranges>> = {
  d: digits,
  D: without(anyCodePoint, digits),
  w: word,
  W: without(anyCodePoint, word),
  s: spaces,
  S: without(anyCodePoint, spaces),
};

const controls: Readonly<Record<string, number>> = { t: 9, n: 10, v: 11, f: 12, r: 13, '0': 0 };

/** Repetitions beyond this many are a mistake or an attack. */
const maxCount = 100_000;
const maxDepth = 200;

class Parser {
  readonly #pattern: string;
  readonly #chars: readonly string[];
  #at = 0;
  #depth = 0;

  constructor(pattern: string) {
    this.#pattern = pattern;
    this.#chars = Array.from(pattern);
  }

  parse(): Node {
    const node = this.#alternatives();
    if (this.#at < this.#chars.length) throw this.#wrong(`unexpected "${this.#chars[this.#at]}"`);
    return node;
  }

  #alternatives(): Node {
    if (++this.#depth > maxDepth) throw this.#wrong(`groups are nested deeper than ${maxDepth}`);
    const options = [this.#sequence()];
    while (this.#take('|')) options.push(this.#sequence());
    this.#depth--;
    const [only] = options;
    return options.length === 1 && only ? only : { kind: 'alt', options };
  }

  #sequence(): Node {
    const parts: Node[] = [];
    for (
      let c = this.#chars[this.#at];
      c !== undefined && c !== '|' && c !== ')';
      c = this.#chars[this.#at]
    ) {
      parts.push(this.#repeated(this.#atom(c)));
    }
    return { kind: 'seq', parts };
  }

  #atom(c: string): Node {
    this.#at++;
    switch (c) {
      case '^':
      case '$':
        return { kind: 'anchor', at: c };
      case '.':
        return { kind: 'set', set: dot };
      case '[':
        return { kind: 'set', set: this.#class() };
      case '(':
        return this.#group();
      case '\\':
        if (this.#take('b')) return { kind: 'boundary', negated: false };
        if (this.#take('B')) return { kind: 'boundary', negated: true };
        return { kind: 'set', set: this.#escape() };
      case '*':
      case '+':
      case '?':
        throw this.#wrong(`nothing before "${c}" to repeat`);
      default:
        return { kind: 'set', set: single(c.codePointAt(0) ?? 0) };
    }
  }

  #repeated(part: Node): Node {
    const bounds = this.#bounds();
    if (!bounds) return part;
    if (part.kind === 'anchor' || part.kind === 'boundary') throw this.#wrong('an anchor cannot be repeated');
    this.#take('?'); // lazy or not, the texts that match are the same
    if (this.#bounds()) throw this.#wrong('two repetitions of one part');
    return { kind: 'repeat', part, min: bounds[0], max: bounds[1] };
  }

  #bounds(): readonly [number, number] | undefined {
    if (this.#take('*')) return [0, Number.POSITIVE_INFINITY];
    if (this.#take('+')) return [1, Number.POSITIVE_INFINITY];
    if (this.#take('?')) return [0, 1];
    const counted = /^\{(\d+)(,(\d*))?\}/.exec(this.#chars.slice(this.#at, this.#at + 24).join(''));
    if (!counted) return undefined;
    this.#at += counted[0].length;
    const min = Number(counted[1]);
    const max =
      counted[2] === undefined ? min : counted[3] === '' ? Number.POSITIVE_INFINITY : Number(counted[3]);
    if (max < min) throw this.#wrong(`{${min},${max}} ends before it begins`);
    if (min > maxCount || (max > maxCount && max !== Number.POSITIVE_INFINITY)) {
      throw this.#wrong(`a repetition of more than ${maxCount}`);
    }
    return [min, max];
  }

  #group(): Node {
    if (this.#take('?')) {
      if (this.#take('<')) {
        for (const negated of [false, true]) {
          if (this.#take(negated ? '!' : '=')) return this.#look(true, negated);
        }
        while (!this.#take('>'))
          if (this.#at++ >= this.#chars.length) throw this.#wrong('an open group name');
      } else if (!this.#take(':')) {
        for (const negated of [false, true]) {
          if (this.#take(negated ? '!' : '=')) return this.#look(false, negated);
        }
        throw this.#wrong('"(?" is followed by no kind of group');
      }
    }
    const node = this.#alternatives();
    if (!this.#take(')')) throw this.#wrong('a group is not closed');
    return node;
  }

  #look(back: boolean, negated: boolean): Node {
    const node = this.#alternatives();
    if (!this.#take(')')) throw this.#wrong('a group is not closed');
    return { kind: 'look', back, negated, node };
  }

  #class(): Ranges {
    const negated = this.#take('^');
    const ranges: (readonly [number, number])[] = [];
    while (!this.#take(']')) {
      const low = this.#classAtom();
      if (this.#chars[this.#at] === '-' && (this.#chars[this.#at + 1] ?? ']') !== ']') {
        this.#at++;
        const high = this.#classAtom();
        const [a, b] = [only(low), only(high)];
        if (a === undefined || b === undefined) throw this.#wrong('a range between classes');
        if (b < a) throw this.#wrong('a range ends before it begins');
        ranges.push([a, b]);
      } else ranges.push(...low);
    }
    const set = union(ranges);
    return negated ? without(anyCodePoint, set) : set;
  }

  #classAtom(): Ranges {
    const c = this.#chars[this.#at++];
    if (c === undefined) throw this.#wrong('a class is not closed');
    if (c !== '\\') return single(c.codePointAt(0) ?? 0);
    if (this.#take('b')) return single(8);
    return this.#escape();
  }

  #escape(): Ranges {
    const c = this.#chars[this.#at++];
    if (c === undefined) throw this.#wrong('"\\" at the end');
    if (classes[c]) return classes[c];
    if (c === '0' && !/\d/.test(this.#chars[this.#at] ?? '')) return single(0);
    if (controls[c] !== undefined && c !== '0') return single(controls[c]);
    if (c === 'x') return single(this.#hex(2));
    if (c === 'u') return single(this.#take('{') ? this.#braced() : this.#unit());
    if (c === 'c' && /[a-zA-Z]/.test(this.#chars[this.#at] ?? '')) {
      return single((this.#chars[this.#at++]?.charCodeAt(0) ?? 0) % 32);
    }
    if (c === 'p' || c === 'P') return this.#property(c === 'P');
    if (/[\dk]/.test(c)) throw unsupported(this.#pattern, 'a back reference');
    if (/[a-zA-Z]/.test(c)) throw this.#wrong(`"\\${c}" is no escape`);
    return single(c.codePointAt(0) ?? 0);
  }

  #property(negated: boolean): Ranges {
    const end = this.#chars.indexOf('}', this.#at);
    const name = this.#chars.slice(this.#at + 1, end).join('');
    const set = this.#chars[this.#at] === '{' && end > 0 ? propertySet(name) : undefined;
    if (!set) throw this.#wrong(`no Unicode property ${JSON.stringify(name)}`);
    this.#at = end + 1;
    return negated ? without(anyCodePoint, set) : set;
  }

  /** `\\uD83D\\uDE00` is one character. */
  #unit(): number {
    const unit = this.#hex(4);
    const next = this.#chars.slice(this.#at, this.#at + 6).join('');
    if (unit >= 0xd800 && unit < 0xdc00 && /^\\u[dD][c-fC-F]/.test(next)) {
      this.#at += 2;
      return 0x10000 + (unit - 0xd800) * 0x400 + (this.#hex(4) - 0xdc00);
    }
    return unit;
  }

  #hex(length: number): number {
    const text = this.#chars.slice(this.#at, this.#at + length).join('');
    if (!new RegExp(`^[\\da-fA-F]{${length}}$`).test(text))
      throw this.#wrong(`not ${length} hexadecimal digits`);
    this.#at += length;
    return Number.parseInt(text, 16);
  }

  #braced(): number {
    const end = this.#chars.indexOf('}', this.#at);
    const text = this.#chars.slice(this.#at, end).join('');
    if (end < 0 || !/^[\da-fA-F]{1,6}$/.test(text)) throw this.#wrong('no code point');
    this.#at = end + 1;
    return Number.parseInt(text, 16);
  }

  #take(c: string): boolean {
    if (this.#chars[this.#at] !== c) return false;
    this.#at++;
    return true;
  }

  #wrong(what: string): IngotError {
    return wrong(this.#pattern, this.#at, what);
  }
}

const single = (code: number): Ranges => [[code, code]];

const only = (set: Ranges): number | undefined =>
  set.length === 1 && set[0]?.[0] === set[0]?.[1] ? set[0]?.[0] : undefined;
