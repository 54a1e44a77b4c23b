// Regular expressions of ECMAScript, as far as they are regular: the dialect that JSON Schema's `pattern` is written in.
// https://262.ecma-international.org/#sec-patterns

import { IngotError } from '../../base/errors.ts';
import { anyCodePoint, union, without } from './code-points.ts';
import { alt, empty, type Ranges, repeat, seq, type Term } from './term.ts';

type Node =
  | { readonly kind: 'set'; readonly set: Ranges }
  | { readonly kind: 'seq'; readonly parts: readonly Node[] }
  | { readonly kind: 'alt'; readonly options: readonly Node[] }
  | { readonly kind: 'repeat'; readonly part: Node; readonly min: number; readonly max: number }
  | { readonly kind: 'anchor'; readonly at: '^' | '$' };

/** One character of a set, as the text around the pattern spells it. */
export type Spelling = (set: Ranges) => Term;

/** Texts that match from their first to their last character. */
export const wholeMatch = (pattern: string, spell: Spelling): Term =>
  joined(parse(pattern), spell, pattern, empty);

/** Texts in which the pattern matches somewhere. */
export function anywhere(pattern: string, spell: Spelling): Term {
  return joined(parse(pattern), spell, pattern, repeat(spell(anyCodePoint)));
}

/** Alternatives with what may stand before and after: `around`, or nothing where an anchor says so. */
function joined(node: Node, spell: Spelling, pattern: string, around: Term): Term {
  return alt(
    ...alternatives(node).map((parts) => {
      const starts = parts.findIndex((part) => !isAnchor(part, '^'));
      const begin = starts < 0 ? parts.length : starts;
      let end = parts.length;
      while (end > begin && isAnchor(parts[end - 1], '$')) end--;
      const inner = parts.slice(begin, end).map((part) => termOf(part, spell, pattern));
      return seq(begin > 0 ? empty : around, ...inner, end < parts.length ? empty : around);
    }),
  );
}

const isAnchor = (node: Node | undefined, at: '^' | '$'): boolean =>
  node?.kind === 'anchor' && node.at === at;

/** The alternatives of a pattern as sequences; groups with anchors at either end are opened. */
function alternatives(node: Node): readonly (readonly Node[])[] {
  if (node.kind === 'alt') return node.options.flatMap(alternatives);
  if (node.kind !== 'seq') return [[node]];
  const [first] = node.parts;
  const last = node.parts.at(-1);
  if (first && first !== last && first.kind !== 'anchor' && hasAnchor(first)) {
    const rest = { kind: 'seq', parts: node.parts.slice(1) } as const;
    return alternatives(first).flatMap((head) => alternatives(rest).map((tail) => [...head, ...tail]));
  }
  if (last && last.kind !== 'anchor' && hasAnchor(last)) {
    const heads = node.parts.slice(0, -1);
    return alternatives(last).map((tail) => [...heads, ...tail]);
  }
  return [node.parts];
}

function hasAnchor(node: Node): boolean {
  if (node.kind === 'anchor') return true;
  if (node.kind === 'repeat') return false;
  return node.kind === 'set' ? false : (node.kind === 'seq' ? node.parts : node.options).some(hasAnchor);
}

function termOf(node: Node, spell: Spelling, pattern: string): Term {
  switch (node.kind) {
    case 'set':
      return spell(node.set);
    case 'seq':
      return seq(...node.parts.map((part) => termOf(part, spell, pattern)));
    case 'alt':
      return alt(...node.options.map((option) => termOf(option, spell, pattern)));
    case 'repeat':
      return repeat(termOf(node.part, spell, pattern), node.min, node.max);
    case 'anchor':
      throw unsupported(pattern, `"${node.at}" in the middle`);
  }
}

const unsupported = (pattern: string, what: string): IngotError =>
  new IngotError(
    'unsupported',
    `the pattern ${JSON.stringify(pattern)} has ${what}, which cannot be followed`,
    {
      details: { pattern },
    },
  );

const wrong = (pattern: string, at: number, what: string): IngotError =>
  new IngotError('invalid_argument', `the pattern ${JSON.stringify(pattern)} is wrong at ${at}: ${what}`, {
    details: { pattern, at },
  });

const parse = (pattern: string): Node => new Parser(pattern).parse();

const digits: Ranges = [[0x30, 0x39]];
const word: Ranges = [
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
    if (part.kind === 'anchor') throw this.#wrong('an anchor cannot be repeated');
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
        if (this.#take('=') || this.#take('!')) throw unsupported(this.#pattern, 'a lookbehind');
        while (!this.#take('>'))
          if (this.#at++ >= this.#chars.length) throw this.#wrong('an open group name');
      } else if (!this.#take(':')) {
        if (this.#take('=') || this.#take('!')) throw unsupported(this.#pattern, 'a lookahead');
        throw this.#wrong('"(?" is followed by no kind of group');
      }
    }
    const node = this.#alternatives();
    if (!this.#take(')')) throw this.#wrong('a group is not closed');
    return node;
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
    if (c === 'p' || c === 'P') throw unsupported(this.#pattern, 'a Unicode property');
    if (c === 'b' || c === 'B') throw unsupported(this.#pattern, 'a word boundary');
    if (/[\dk]/.test(c)) throw unsupported(this.#pattern, 'a back reference');
    if (/[a-zA-Z]/.test(c)) throw this.#wrong(`"\\${c}" is no escape`);
    return single(c.codePointAt(0) ?? 0);
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
