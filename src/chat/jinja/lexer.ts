// Templates as tokens, by the rules of Jinja2's lexer with `trim_blocks` and `lstrip_blocks`.
// https://github.com/pallets/jinja/blob/main/src/jinja2/lexer.py

import { spaces } from './text.ts';
import { fail } from './values.ts';

export type Token =
  | { readonly type: 'data'; readonly text: string; readonly line: number }
  | { readonly type: 'string'; readonly text: string; readonly line: number }
  | { readonly type: 'integer'; readonly value: bigint; readonly text: string; readonly line: number }
  | { readonly type: 'float'; readonly value: number; readonly text: string; readonly line: number }
  | { readonly type: 'name' | 'operator' | 'begin' | 'end'; readonly text: string; readonly line: number };

const tagStart = new RegExp(
  `\\{%(?:[-+]|)[${spaces}]*raw[${spaces}]*(?:-%\\}[${spaces}]*|%\\})|\\{[%#{](?:[-+]|)`,
  'g',
);
const rawEnd = new RegExp(
  `(?:\\{%([-+]|))[${spaces}]*endraw[${spaces}]*(?:\\+%\\}|-%\\}[${spaces}]*|%\\}\\n?)`,
  'g',
);
const commentEnd = new RegExp(`(?:\\+#\\}|-#\\}[${spaces}]*|#\\}\\n?)`, 'g');
const blockEnd = new RegExp(`(?:\\+%\\}|-%\\}[${spaces}]*|%\\}\\n?)`, 'y');
const variableEnd = new RegExp(`-\\}\\}[${spaces}]*|\\}\\}`, 'y');
const white = new RegExp(`[${spaces}]+`, 'y');
const floats = /(?:\d+_)*\d+(?:(?:\.(?:\d+_)*\d+)?e[+-]?(?:\d+_)*\d+|\.(?:\d+_)*\d+)/iy;
const integers = /0b(?:_?[01])+|0o(?:_?[0-7])+|0x(?:_?[\da-f])+|[1-9](?:_?\d)*|0(?:_?0)*/iy;
const names = /[\p{L}\p{Nl}\p{N}\p{M}\p{Pc}]+/uy;
const strings = /'[^'\\]*(?:\\[\s\S][^'\\]*)*'|"[^"\\]*(?:\\[\s\S][^"\\]*)*"/y;
const operators = /\/\/|\*\*|==|!=|>=|<=|[-+/*%~[\](){}><=.:|,;]/y;
const opening: Readonly<Record<string, string>> = { '(': ')', '[': ']', '{': '}' };

/** The tokens of a template. Fails with the line for what is no Jinja. */
export function tokenize(template: string): Token[] {
  return new Lexer(template).run();
}

class Lexer {
  readonly #source: string;
  readonly #tokens: Token[] = [];
  #at = 0;
  #lineStarting = true;
  #lineAt = 0;
  #line = 1;

  constructor(template: string) {
    const lines = template.split(/\r\n|\r|\n/);
    if (lines.at(-1) === '') lines.pop();
    this.#source = lines.join('\n');
  }

  run(): Token[] {
    while (this.#at < this.#source.length) {
      tagStart.lastIndex = this.#at;
      const tag = tagStart.exec(this.#source);
      if (!tag) {
        this.#data(this.#source.slice(this.#at));
        break;
      }
      const before = this.#source.slice(this.#at, tag.index);
      this.#data(this.#trimmed(before, signOf(tag[0]), !tag[0].startsWith('{{')));
      this.#move(tag.index + tag[0].length);
      this.#tag(tag[0]);
    }
    return this.#tokens;
  }

  #tag(text: string): void {
    if (text.startsWith('{#')) this.#skipComment();
    else if (text.startsWith('{{')) this.#code('}}', variableEnd);
    else if (text.endsWith('}') || /raw\s*-%\}\s*$/.test(text)) this.#raw();
    else this.#code('%}', blockEnd);
  }

  /** The text before a tag without what the tag's sign, or `lstrip_blocks`, takes away. */
  #trimmed(text: string, sign: string, isBlock: boolean): string {
    if (sign === '-') return text.replace(trailing, '');
    if (sign === '+' || !isBlock) return text;
    const lineStart = text.lastIndexOf('\n') + 1;
    if (lineStart === 0 && !this.#lineStarting) return text;
    return onlyWhite.test(text.slice(lineStart)) ? text.slice(0, lineStart) : text;
  }

  #data(text: string): void {
    if (text !== '') this.#tokens.push({ type: 'data', text, line: this.#lineOf(this.#at) });
  }

  #move(to: number): void {
    this.#lineStarting = this.#source[to - 1] === '\n';
    this.#at = to;
  }

  #lineOf(at: number): number {
    for (; this.#lineAt < at; this.#lineAt++) if (this.#source[this.#lineAt] === '\n') this.#line++;
    return this.#line;
  }

  #wrong(problem: string): never {
    return fail(`${problem} (line ${this.#lineOf(this.#at)})`);
  }

  #skipComment(): void {
    commentEnd.lastIndex = this.#at;
    const end = commentEnd.exec(this.#source);
    if (!end) this.#wrong('Missing end of comment tag');
    this.#move(end.index + end[0].length);
  }

  #raw(): void {
    rawEnd.lastIndex = this.#at;
    const end = rawEnd.exec(this.#source);
    if (!end) this.#wrong('Missing end of raw directive');
    this.#data(this.#trimmed(this.#source.slice(this.#at, end.index), end[1] ?? '', true));
    this.#move(end.index + end[0].length);
  }

  /** Tokens of a tag up to its end. */
  #code(name: string, end: RegExp): void {
    this.#push('begin', name);
    const open: string[] = [];
    for (;;) {
      this.#take(white);
      if (open.length === 0 && this.#take(end) !== undefined) {
        this.#tokens.push({ type: 'end', text: name, line: this.#line });
        return;
      }
      if (this.#at >= this.#source.length) this.#wrong(`unexpected end of template, expected '${name}'`);
      this.#token(open);
    }
  }

  #token(open: string[]): void {
    const line = this.#lineOf(this.#at);
    // `a.1.2` are two keys: digits after a dot are no float.
    const float = this.#source[this.#at - 1] === '.' ? undefined : this.#take(floats);
    if (float !== undefined) {
      this.#tokens.push({ type: 'float', value: Number(float.replaceAll('_', '')), text: float, line });
      return;
    }
    const integer = this.#take(integers);
    if (integer !== undefined) {
      this.#tokens.push({
        type: 'integer',
        value: BigInt(integer.replaceAll('_', '').toLowerCase()),
        text: integer,
        line,
      });
      return;
    }
    const name = this.#take(names);
    if (name !== undefined) {
      this.#push('name', name);
      return;
    }
    const string = this.#take(strings);
    if (string !== undefined) {
      this.#tokens.push({ type: 'string', text: unescaped(string.slice(1, -1)), line });
      return;
    }
    const operator = this.#take(operators);
    if (operator === undefined) this.#wrong(`unexpected char '${this.#source[this.#at]}'`);
    const closing = opening[operator];
    if (closing !== undefined) open.push(closing);
    else if (operator === ')' || operator === ']' || operator === '}') {
      const expected = open.pop();
      if (expected !== operator)
        this.#wrong(`unexpected '${operator}'${expected ? `, expected '${expected}'` : ''}`);
    }
    this.#push('operator', operator);
  }

  #push(type: 'name' | 'operator' | 'begin', text: string): void {
    this.#tokens.push({ type, text, line: this.#lineOf(this.#at) });
  }

  #take(pattern: RegExp): string | undefined {
    pattern.lastIndex = this.#at;
    const found = pattern.exec(this.#source)?.[0];
    if (found !== undefined && found !== '') this.#move(this.#at + found.length);
    return found;
  }
}

const trailing = { [Symbol.replace]: (text: string) => text.slice(0, lastVisible(text)) };
const oneSpace = new RegExp(`[${spaces}]`);
const onlyWhite = new RegExp(`^[${spaces}]+$`);

function lastVisible(text: string): number {
  let to = text.length;
  while (to > 0 && oneSpace.test(text.charAt(to - 1))) to--;
  return to;
}

const signOf = (tag: string): string => (tag[2] === '-' || tag[2] === '+' ? tag[2] : '');

const simple: Readonly<Record<string, string>> = {
  n: '\n',
  t: '\t',
  r: '\r',
  a: '\x07',
  b: '\b',
  f: '\f',
  v: '\v',
  '\\': '\\',
  "'": "'",
  '"': '"',
  '\n': '',
};

const escapes = /\\(?:x([\da-fA-F]{2})|u([\da-fA-F]{4})|U([\da-fA-F]{8})|([0-7]{1,3})|([\s\S]))/g;

function unescaped(text: string): string {
  return text.replace(escapes, (whole, x, u, long, octal, char) => {
    const hex: string | undefined = x ?? u ?? long;
    if (hex !== undefined) {
      const code = Number.parseInt(hex, 16);
      return code <= 0x10ffff ? String.fromCodePoint(code) : fail(`illegal Unicode character ${whole}`);
    }
    if (octal !== undefined) return String.fromCodePoint(Number.parseInt(octal, 8));
    if (char === 'x' || char === 'u' || char === 'U' || char === 'N')
      return fail(`truncated escape ${whole}`);
    return simple[char] ?? whole;
  });
}
