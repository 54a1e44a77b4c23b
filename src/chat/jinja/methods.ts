// Methods of texts, dicts, lists, tuples and numbers. Those that change a value are not to be had, as in the immutable sandbox.

import { Args, integer, type Runtime, text } from './arguments.ts';
import { formatBraces } from './format.ts';
import { equal, indexOf } from './operators.ts';
import { lengthOf, lineEnds, repr, spaces, strip } from './text.ts';
import {
  Callable,
  Dict,
  fail,
  isNumber,
  itemsOf,
  numeric,
  Tuple,
  typeName,
  type Value,
  View,
} from './values.ts';

type Method<T> = (self: T, args: Args, runtime: Runtime) => Value;

const changing = new Set([
  'append',
  'clear',
  'extend',
  'insert',
  'pop',
  'popitem',
  'remove',
  'reverse',
  'setdefault',
  'sort',
  'update',
]);

/** A method of a value, bound to it; 'unsafe' for one that would change it, undefined for none. */
export function methodOf(value: Value, name: string, runtime: Runtime): Callable | 'unsafe' | undefined {
  const bind = <T>(table: Readonly<Record<string, Method<T>>>, self: T): Callable | undefined => {
    const method = Object.hasOwn(table, name) ? table[name] : undefined;
    return method && new Callable(name, (args, keywords) => method(self, new Args(args, keywords), runtime));
  };
  if (typeof value === 'string') return bind(texts, value);
  if (value instanceof Dict) return changing.has(name) && name in dictChanges ? 'unsafe' : bind(dicts, value);
  if (Array.isArray(value)) return changing.has(name) && name in listChanges ? 'unsafe' : bind(lists, value);
  if (value instanceof Tuple)
    return bind({ count: lists.count, index: lists.index } as typeof lists, [...value.items]);
  if (typeof value === 'number')
    return name === 'is_integer' ? new Callable(name, () => Number.isInteger(value)) : undefined;
  return undefined;
}

/** What numbers have besides methods. */
export function numberAttribute(value: Value, name: string): Value | undefined {
  if (!isNumber(value)) return undefined;
  const number = numeric(value);
  if (name === 'real') return number;
  if (name === 'imag') return typeof number === 'number' ? 0 : 0n;
  if (typeof number !== 'bigint') return undefined;
  return name === 'numerator' ? number : name === 'denominator' ? 1n : undefined;
}

const dictChanges = { clear: 1, pop: 1, popitem: 1, setdefault: 1, update: 1 };
const listChanges = { append: 1, clear: 1, extend: 1, insert: 1, pop: 1, remove: 1, reverse: 1, sort: 1 };

const dicts: Readonly<Record<string, Method<Dict>>> = {
  get(self, args) {
    const [key, otherwise = null] = args.take('get', 'key', 'default');
    return self.get(key ?? null) ?? otherwise;
  },
  keys: (self) => new View('dict_keys', self.keys()),
  values: (self) => new View('dict_values', self.values()),
  items: (self) =>
    new View(
      'dict_items',
      self.entries().map((entry) => new Tuple(entry)),
    ),
  copy: (self) => new Dict(self.entries()),
};

const lists: Readonly<Record<'count' | 'index' | 'copy', Method<Value[]>>> = {
  count(self, args) {
    const [item = null] = args.take('count', 'value');
    return BigInt(self.filter((each) => equal(each, item)).length);
  },
  index(self, args) {
    const [item = null, start] = args.take('index', 'value', 'start');
    const at = self.findIndex((each, i) => i >= integer(start, 0) && equal(each, item));
    return at < 0 ? fail(`${repr(item)} is not in list`) : BigInt(at);
  },
  copy: (self) => [...self],
};

const white = new RegExp(`[${spaces}]+`, 'g');

/** A part of a text by Python's start and end. */
function part(
  self: string,
  start: Value | undefined,
  end: Value | undefined,
): { inner: string; from: number } {
  const chars = [...self];
  const place = (value: Value | undefined, otherwise: number): number => {
    if (value === undefined || value === null) return otherwise;
    const at = indexOf(value, 'slice indices');
    return Math.min(chars.length, Math.max(0, at < 0 ? at + chars.length : at));
  };
  const from = place(start, 0);
  return { inner: chars.slice(from, place(end, chars.length)).join(''), from };
}

/** Characters before a place in UTF-16 units. */
const charactersBefore = (self: string, at: number): number => lengthOf(self.slice(0, at));

function found(name: 'find' | 'rfind', self: string, args: Args): number {
  const [needle, start, end] = args.take(name, 'sub', 'start', 'end');
  const { inner, from } = part(self, start, end);
  const sub = text(needle, '', `${name}() argument 1`);
  const at = name === 'find' ? inner.indexOf(sub) : inner.lastIndexOf(sub);
  return at < 0 ? -1 : from + charactersBefore(inner, at);
}

const needFound = (at: number): bigint => (at < 0 ? fail('substring not found') : BigInt(at));

function affixed(name: 'startsWith' | 'endsWith', self: string, args: Args): boolean {
  const [given = null, start, end] = args.take(name.toLowerCase(), 'affix', 'start', 'end');
  const { inner } = part(self, start, end);
  const affixes = given instanceof Tuple ? given.items : [given];
  return affixes.some((affix) => inner[name](text(affix, '', `${name.toLowerCase()} first arg`)));
}

const stripped =
  (name: string, left: boolean, right: boolean): Method<string> =>
  (self, args) => {
    const [chars] = args.take(name, 'chars');
    return strip(
      self,
      chars === undefined || chars === null ? undefined : text(chars, '', `${name} arg`),
      left,
      right,
    );
  };

function pieces(self: string, args: Args, fromRight: boolean, runtime: Runtime): Value[] {
  const [given, most] = args.take('split', 'sep', 'maxsplit');
  const limit = integer(most, -1);
  const cuts = limit < 0 ? Number.POSITIVE_INFINITY : limit;
  runtime.budget.make(self.length);
  if (given === undefined || given === null) return splitWords(self, cuts, fromRight);
  const separator = text(given, '', 'sep');
  if (separator === '') fail('empty separator');
  const all = self.split(separator);
  runtime.budget.make(all.length);
  if (all.length - 1 <= cuts) return all;
  return fromRight
    ? [all.slice(0, all.length - cuts).join(separator), ...all.slice(all.length - cuts)]
    : [...all.slice(0, cuts), all.slice(cuts).join(separator)];
}

function splitWords(self: string, cuts: number, fromRight: boolean): string[] {
  const words = [...self.matchAll(new RegExp(`[^${spaces}]+`, 'g'))].map(({ index, 0: word }) => ({
    index,
    word,
  }));
  if (words.length - 1 <= cuts) return words.map(({ word }) => word);
  if (fromRight) {
    const kept = words.slice(words.length - cuts);
    const before = words[words.length - cuts - 1];
    const rest = self.slice(0, (before?.index ?? 0) + (before?.word.length ?? 0));
    return [strip(rest, undefined, true, true), ...kept.map(({ word }) => word)];
  }
  const rest = strip(self.slice(words[cuts]?.index ?? 0), undefined, false, true);
  return [...words.slice(0, cuts).map(({ word }) => word), rest];
}

function partition(self: string, args: Args, last: boolean): Tuple {
  const [given] = args.take('partition', 'sep');
  const separator = text(given, '', 'sep');
  if (separator === '') fail('empty separator');
  const at = last ? self.lastIndexOf(separator) : self.indexOf(separator);
  if (at < 0) return new Tuple(last ? ['', '', self] : [self, '', '']);
  return new Tuple([self.slice(0, at), separator, self.slice(at + separator.length)]);
}

const aligned =
  (name: string, left: (room: number, width: number) => number): Method<string> =>
  (self, args, { budget }) => {
    const [width, fill] = args.take(name, 'width', 'fillchar');
    const total = integer(width, 0);
    const room = Math.max(0, total - lengthOf(self));
    budget.make(room);
    const char = text(fill, ' ', 'fillchar');
    if (lengthOf(char) !== 1) fail('The fill character must be exactly one character long');
    const before = left(room, total);
    return char.repeat(before) + self + char.repeat(room - before);
  };

const every =
  (pattern: RegExp): Method<string> =>
  (self) =>
    pattern.test(self);

export const capitalized = (value: string): string => {
  const [first = '', ...rest] = value;
  return titled(first) + lowered(rest.join(''));
};

/** The title form of a character, which differs from its upper case for a few. */
const titled = (char: string): string => {
  const upper = char.toUpperCase();
  const special: Readonly<Record<string, string>> = {
    ß: 'Ss',
    ǆ: 'ǅ',
    ǳ: 'ǲ',
    ǉ: 'ǈ',
    ǌ: 'ǋ',
    Ǆ: 'ǅ',
    Ǳ: 'ǲ',
    Ǉ: 'ǈ',
    Ǌ: 'ǋ',
  };
  return special[char] ?? upper;
};

const lowered = (value: string): string => value.toLowerCase();

/** `str.title`: every run of letters begins with its title form. */
const title = (value: string): string =>
  value.replace(/[\p{L}\p{M}]+/gu, (word) => {
    const [first = '', ...rest] = word;
    return titled(first) + lowered(rest.join(''));
  });

const cased = /\p{Lu}|\p{Ll}|\p{Lt}/u;

const texts: Readonly<Record<string, Method<string>>> = {
  capitalize: (self) => capitalized(self),
  casefold: (self) => lowered(self.replaceAll('ß', 'ss').replaceAll('ς', 'σ')),
  center: aligned('center', (room, width) => Math.floor(room / 2) + (room & width & 1)),
  ljust: aligned('ljust', () => 0),
  rjust: aligned('rjust', (room) => room),
  count(self, args) {
    const [needle, start, end] = args.take('count', 'sub', 'start', 'end');
    const { inner } = part(self, start, end);
    const sub = text(needle, '', 'count() argument 1');
    return BigInt(sub === '' ? lengthOf(inner) + 1 : inner.split(sub).length - 1);
  },
  endswith: (self, args) => affixed('endsWith', self, args),
  startswith: (self, args) => affixed('startsWith', self, args),
  expandtabs(self, args, { budget }) {
    const [size] = args.take('expandtabs', 'tabsize');
    const width = Math.max(0, integer(size, 8));
    budget.make(self.split('\t').length * width);
    let column = 0;
    return self.replace(/\t|\n|\r|[\s\S]/gu, (char) => {
      if (char === '\t') {
        const room = width === 0 ? 0 : width - (column % width);
        column += room;
        return ' '.repeat(room);
      }
      column = char === '\n' || char === '\r' ? 0 : column + 1;
      return char;
    });
  },
  find: (self, args) => BigInt(found('find', self, args)),
  rfind: (self, args) => BigInt(found('rfind', self, args)),
  index: (self, args) => needFound(found('find', self, args)),
  rindex: (self, args) => needFound(found('rfind', self, args)),
  format: (self, args, { budget, lookup }) =>
    formatBraces(self, args.positional, args.keywords, { budget, lookup }),
  format_map(self, args, { budget, lookup }) {
    const [mapping = null] = args.take('format_map', 'mapping');
    const entries = mapping instanceof Dict ? mapping.entries() : fail('format_map() needs a dict');
    return formatBraces(self, [], new Map(entries.map(([key, value]) => [String(key), value])), {
      budget,
      lookup,
    });
  },
  isalnum: every(/^[\p{L}\p{N}]+$/u),
  isalpha: every(/^\p{L}+$/u),
  isascii: (self) => !/[^\p{ASCII}]/u.test(self),
  isdecimal: every(/^\p{Nd}+$/u),
  isdigit: every(/^[\p{Nd}²³¹⁰⁴-⁹₀-₉①-⑨⓪]+$/u),
  isnumeric: every(/^\p{N}+$/u),
  isidentifier: every(/^[\p{XID_Start}_]\p{XID_Continue}*$/u),
  islower: (self) => cased.test(self) && !/[\p{Lu}\p{Lt}]/u.test(self),
  isupper: (self) => cased.test(self) && !/[\p{Ll}\p{Lt}]/u.test(self),
  isprintable: (self) => !/[^\P{C}]|(?! )[\p{Z}]/u.test(self),
  isspace: every(new RegExp(`^[${spaces}]+$`)),
  istitle: (self) => cased.test(self) && title(self) === self,
  join(self, args, { budget }) {
    const [items = null] = args.take('join', 'iterable');
    const parts = itemsOf(items).map((item, i) =>
      typeof item === 'string'
        ? item
        : fail(`sequence item ${i}: expected str instance, ${typeName(item)} found`),
    );
    budget.make(parts.reduce((sum, each) => sum + each.length + self.length, 0));
    return parts.join(self);
  },
  lower: (self) => lowered(self),
  upper: (self) => self.toUpperCase(),
  swapcase: (self) =>
    self.replace(/[\s\S]/gu, (char) => (char === char.toUpperCase() ? lowered(char) : char.toUpperCase())),
  title: (self) => title(self),
  strip: stripped('strip', true, true),
  lstrip: stripped('lstrip', true, false),
  rstrip: stripped('rstrip', false, true),
  partition: (self, args) => partition(self, args, false),
  rpartition: (self, args) => partition(self, args, true),
  removeprefix(self, args) {
    const prefix = text(args.take('removeprefix', 'prefix')[0], '', 'removeprefix() argument');
    return self.startsWith(prefix) ? self.slice(prefix.length) : self;
  },
  removesuffix(self, args) {
    const suffix = text(args.take('removesuffix', 'suffix')[0], '', 'removesuffix() argument');
    return suffix !== '' && self.endsWith(suffix) ? self.slice(0, -suffix.length) : self;
  },
  replace(self, args, runtime) {
    const [from, to, count] = args.take('replace', 'old', 'new', 'count');
    return replaced(
      self,
      text(from, '', 'replace() argument 1'),
      text(to, '', 'replace() argument 2'),
      integer(count, -1),
      runtime,
    );
  },
  split: (self, args, runtime) => pieces(self, args, false, runtime),
  rsplit: (self, args, runtime) => pieces(self, args, true, runtime),
  splitlines(self, args, { budget }) {
    const [keep = false] = args.take('splitlines', 'keepends');
    budget.make(self.length);
    const lines: string[] = [];
    let from = 0;
    for (const { index, 0: end } of self.matchAll(lineEnds)) {
      lines.push(self.slice(from, keep === true ? index + end.length : index));
      from = index + end.length;
    }
    return from < self.length ? [...lines, self.slice(from)] : lines;
  },
  zfill(self, args, { budget }) {
    const width = integer(args.take('zfill', 'width')[0], 0);
    budget.make(width);
    const sign = /^[-+]/.exec(self)?.[0] ?? '';
    return sign + '0'.repeat(Math.max(0, width - lengthOf(self))) + self.slice(sign.length);
  },
};

/** `text.replace(from, to, count)`; a negative count is all. */
export function replaced(self: string, from: string, to: string, count: number, { budget }: Runtime): string {
  if (count < 0 && from !== '') {
    const parts = self.split(from);
    budget.make(self.length + (parts.length - 1) * to.length);
    return parts.join(to);
  }
  const most = count < 0 ? Number.POSITIVE_INFINITY : count;
  const places = from === '' ? [...self, ''] : undefined;
  if (places) {
    budget.make(self.length + places.length * to.length);
    return places.map((char, i) => (i < most ? to + char : char)).join('');
  }
  const parts = self.split(from);
  const changed = Math.min(most, parts.length - 1);
  budget.make(self.length + changed * to.length);
  return (
    parts.slice(0, changed + 1).join(to) +
    parts
      .slice(changed + 1)
      .map((each) => from + each)
      .join('')
  );
}

/** Words of a text, white space as Python sees it. */
export const collapseSpaces = (value: string): string =>
  strip(value.replace(white, ' '), undefined, true, true);
