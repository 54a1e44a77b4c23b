// Errors of kernel sources: what is wrong, where, and the line with a caret below the character.

import { IngotError } from '../../base/errors.ts';

/** A kernel's text, and what it is called in messages: `update of reduce`. */
export interface Source {
  readonly what: string;
  readonly text: string;
}

/** Throws invalid_argument: the message ends with the line and a caret under the character at `at`. */
export function fail(source: Source, at: number, problem: string): never {
  const { line, column, text } = placeOf(source.text, at);
  throw new IngotError(
    'invalid_argument',
    `${source.what}: line ${line}, column ${column}: ${problem}\n  ${text}\n  ${' '.repeat(column - 1)}^`,
    { details: { line, column } },
  );
}

/** Line and column from 1, and the line's text. */
function placeOf(text: string, at: number): { line: number; column: number; text: string } {
  const start = text.lastIndexOf('\n', at - 1) + 1;
  const end = text.indexOf('\n', at);
  const line = text.slice(0, start).split('\n').length;
  return {
    line,
    column: at - start + 1,
    text: text.slice(start, end < 0 ? text.length : end).replaceAll('\t', ' '),
  };
}

/** `; did you mean 'exp'?` for a name that one is at most two changes away from, else nothing. */
export function suggestion(name: string, known: Iterable<string>): string {
  let best: string | undefined;
  let least = Math.min(3, name.length);
  for (const k of known) {
    const d = distance(name.toLowerCase(), k.toLowerCase());
    if (d < least) [best, least] = [k, d];
  }
  return best === undefined ? '' : `; did you mean '${best}'?`;
}

/** Insertions, deletions and replacements from one text to the other. */
function distance(a: string, b: string): number {
  let row = Array.from({ length: b.length + 1 }, (_, j) => j);
  for (let i = 0; i < a.length; i++) {
    const next = [i + 1];
    for (let j = 0; j < b.length; j++) {
      const replaced = (row[j] as number) + (a[i] === b[j] ? 0 : 1);
      next.push(Math.min(replaced, (row[j + 1] as number) + 1, (next[j] as number) + 1));
    }
    row = next;
  }
  return row[b.length] as number;
}
