// Tokens of kernel sources: names (with members, `a.sum`), numbers, and signs; each with its place in the text.

import { fail, type Source } from './errors.ts';

export interface Token {
  readonly kind: 'name' | 'number' | 'sign' | 'end';
  readonly text: string;
  readonly at: number;
}

const signs = ['<<', '>>', '<=', '>=', '==', '!=', '&&', '||', ...'+-*/%<>!~&|^?:;,=(){}'.split('')] as const;

const blank = /(?:\s+|\/\/[^\n]*|\/\*[\s\S]*?\*\/)+/y;
const word = /[A-Za-z_]\w*(?:\.[A-Za-z_]\w*)?/y;
const digits = /(?:0[xX][0-9a-fA-F]+[iu]?|(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?[fhiu]?)/y;

/** The tokens in order, closed by one of kind `end`. Throws invalid_argument at a character that begins none. */
export function tokenise(source: Source): readonly Token[] {
  const { text } = source;
  const tokens: Token[] = [];
  let at = 0;
  const match = (pattern: RegExp): string | undefined => {
    pattern.lastIndex = at;
    return pattern.exec(text)?.[0];
  };
  const push = (kind: Token['kind'], found: string): void => {
    tokens.push({ kind, text: found, at });
    at += found.length;
  };
  while (at < text.length) {
    const skipped = match(blank);
    if (skipped !== undefined) {
      at += skipped.length;
      continue;
    }
    const number = match(digits);
    const name = number === undefined ? match(word) : undefined;
    const sign = signs.find((s) => text.startsWith(s, at));
    if (number !== undefined) {
      push('number', number);
      if (match(word) !== undefined) {
        fail(
          source,
          at,
          `'${match(word)}' follows the number ${number} directly: write * between them, or a space`,
        );
      }
    } else if (name !== undefined) push('name', name);
    else if (sign !== undefined) push('sign', sign);
    else fail(source, at, `unexpected character '${[...text.slice(at)][0]}'`);
  }
  tokens.push({ kind: 'end', text: '', at });
  return tokens;
}
