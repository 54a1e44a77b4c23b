// Texts as Python writes and measures them: str(), repr(), characters instead of UTF-16 units, white space.

import {
  Attributes,
  Callable,
  Dict,
  fail,
  Generator,
  Markup,
  Tuple,
  Undefined,
  type Value,
  View,
} from './values.ts';

export const spaces = '\\t-\\r\\x1c-\\x20\\x85\\xa0\\u1680\\u2000-\\u200a\\u2028\\u2029\\u202f\\u205f\\u3000';
/** What ends a line for `splitlines`. */
// biome-ignore lint/suspicious/noControlCharactersInRegex: Python counts separators of records as ends of lines
export const lineEnds = /\r\n|[\n\r\v\f\x1c-\x1e\x85\u2028\u2029]/g;
const isSpace = new RegExp(`[${spaces}]`);

/** Length in characters. */
export function lengthOf(text: string): number {
  let pairs = 0;
  for (let i = 0; i + 1 < text.length; i++) {
    const code = text.charCodeAt(i);
    if (code < 0xd800 || code > 0xdbff) continue;
    const next = text.charCodeAt(i + 1);
    if (next >= 0xdc00 && next <= 0xdfff) {
      pairs++;
      i++;
    }
  }
  return text.length - pairs;
}

/** Without the characters of `chars`, or without white space, at its ends. */
export function strip(text: string, chars: string | undefined, left: boolean, right: boolean): string {
  const set = chars === undefined ? undefined : new Set(chars);
  const goes = (char: string): boolean => (set ? set.has(char) : isSpace.test(char));
  let from = 0;
  let to = text.length;
  while (left && from < to) {
    const char = String.fromCodePoint(text.codePointAt(from) ?? 0);
    if (!goes(char)) break;
    from += char.length;
  }
  while (right && from < to) {
    const pair = to - from >= 2 ? text.slice(to - 2, to) : '';
    const char = (pair.codePointAt(0) ?? 0) > 0xffff ? pair : text.charAt(to - 1);
    if (!goes(char)) break;
    to -= char.length;
  }
  return text.slice(from, to);
}

/** `repr` of a float: shortest digits, exponents outside 1e-4 to 1e16. */
export function floatText(value: number): string {
  if (Number.isNaN(value)) return 'nan';
  if (!Number.isFinite(value)) return value < 0 ? '-inf' : 'inf';
  const sign = value < 0 || Object.is(value, -0) ? '-' : '';
  const [mantissa = '0', exponentText = '0'] = Math.abs(value).toExponential().split('e');
  const exponent = Number(exponentText);
  const digits = mantissa.replace('.', '');
  if (exponent < -4 || exponent >= 16) {
    const point = digits.length > 1 ? `${digits[0]}.${digits.slice(1)}` : digits;
    const power = `${exponent < 0 ? '-' : '+'}${String(Math.abs(exponent)).padStart(2, '0')}`;
    return `${sign}${point}e${power}`;
  }
  if (exponent < 0) return `${sign}0.${'0'.repeat(-exponent - 1)}${digits}`;
  const whole = digits.slice(0, exponent + 1).padEnd(exponent + 1, '0');
  return `${sign}${whole}.${digits.slice(exponent + 1) || '0'}`;
}

/** `str()` of a value. */
export function str(value: Value): string {
  if (typeof value === 'string') return value;
  if (value instanceof Markup) return value.text;
  if (value instanceof Undefined) return '';
  return repr(value);
}

/** `repr()` of a value. Fails for those whose text in Python is an address. */
export function repr(value: Value): string {
  if (value === null) return 'None';
  if (value === true) return 'True';
  if (value === false) return 'False';
  if (typeof value === 'bigint') return value.toString();
  if (typeof value === 'number') return floatText(value);
  if (typeof value === 'string') return quoted(value);
  if (Array.isArray(value)) return `[${value.map(repr).join(', ')}]`;
  if (value instanceof Tuple) {
    return value.items.length === 1
      ? `(${repr(value.items[0] ?? null)},)`
      : `(${value.items.map(repr).join(', ')})`;
  }
  if (value instanceof Dict) {
    return `{${value
      .entries()
      .map(([key, each]) => `${repr(key)}: ${repr(each)}`)
      .join(', ')}}`;
  }
  if (value instanceof View && value.kind === 'range') return value.label;
  if (value instanceof View) return `${value.kind}([${value.items.map(repr).join(', ')}])`;
  if (value instanceof Markup) return `Markup(${quoted(value.text)})`;
  if (value instanceof Undefined) return 'Undefined';
  if (value instanceof Generator) return fail('a generator cannot be printed; use the filter list or join');
  if (value instanceof Callable) return fail(`the function ${value.name} cannot be printed; call it`);
  return value instanceof Attributes ? fail(`a ${value.kind} cannot be printed`) : '';
}

const named: Readonly<Record<string, string>> = { '\n': '\\n', '\r': '\\r', '\t': '\\t', '\\': '\\\\' };
const unprintable = /[\p{C}\p{Z}\\]/gu;

function quoted(text: string): string {
  const quote = text.includes("'") && !text.includes('"') ? '"' : "'";
  const inner = text.replace(unprintable, (char) => {
    if (char === ' ') return char;
    const name = named[char];
    if (name !== undefined) return name;
    const code = char.codePointAt(0) ?? 0;
    if (code < 0x100) return `\\x${code.toString(16).padStart(2, '0')}`;
    return code < 0x10000
      ? `\\u${code.toString(16).padStart(4, '0')}`
      : `\\U${code.toString(16).padStart(8, '0')}`;
  });
  return quote + (quote === "'" ? inner.replaceAll("'", "\\'") : inner) + quote;
}

export const escapeHtml = (text: string): string =>
  text
    .replaceAll('&', '&amp;')
    .replaceAll('<', '&lt;')
    .replaceAll('>', '&gt;')
    .replaceAll("'", '&#39;')
    .replaceAll('"', '&#34;');

/** Order of two texts by their characters. */
export function compareTexts(a: string, b: string): number {
  if (a === b) return 0;
  const length = Math.min(a.length, b.length);
  for (let i = 0; i < length; i++) {
    const x = a.charCodeAt(i);
    const y = b.charCodeAt(i);
    if (x === y) continue;
    // Halves of pairs come after all characters of one unit.
    const rank = (code: number): number => (code >= 0xd800 && code <= 0xdfff ? code + 0x10000 : code);
    return rank(x) - rank(y);
  }
  return a.length - b.length;
}
