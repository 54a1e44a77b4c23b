// JSON inside an answer, handed on while it comes. Slips that models make in strings are mended: raw line breaks and tabs,
// and backslashes before characters that need none.

import type { Reader, Reading } from './reader.ts';

type Sink = (json: string) => void;

const maxDepth = 256;
// biome-ignore lint/suspicious/noControlCharactersInRegex: they are what a string may not hold.
const plain = /[^"\\\u0000-\u001f]*/y;
const numeric = /[-+.eE\d]*/y;
const number = /^-?(0|[1-9]\d*)(\.\d+)?([eE][-+]?\d+)?$/;

/** Reads a value; false, with what was valid so far handed on, at the first character that cannot follow. */
export function* readJson(reader: Reader, sink: Sink, depth = 0): Reading<boolean> {
  const next = yield* reader.peek();
  if (next === undefined || depth > maxDepth) return false;
  if (next === '"') return yield* readString(reader, sink);
  if (next === '{') return yield* readList(reader, sink, '{}', depth);
  if (next === '[') return yield* readList(reader, sink, '[]', depth);
  for (const word of ['true', 'false', 'null']) {
    if (yield* reader.take(word)) {
      sink(word);
      return true;
    }
  }
  return yield* reader.attempt(function* () {
    const text = yield* reader.run(numeric, 64);
    if (!number.test(text)) return false;
    sink(text);
    return true;
  });
}

/** Reads an object or an array. */
function* readList(reader: Reader, sink: Sink, brackets: '{}' | '[]', depth: number): Reading<boolean> {
  const [open, close] = [brackets.charAt(0), brackets.charAt(1)];
  sink(reader.skip(open.length));
  sink(yield* reader.space());
  if (yield* reader.take(close)) {
    sink(close);
    return true;
  }
  for (;;) {
    if (open === '{') {
      if ((yield* reader.peek()) !== '"' || !(yield* readString(reader, sink))) return false;
      sink(yield* reader.space());
      if (!(yield* reader.take(':'))) return false;
      sink(':');
      sink(yield* reader.space());
    }
    if (!(yield* readJson(reader, sink, depth + 1))) return false;
    sink(yield* reader.space());
    if (yield* reader.take(close)) {
      sink(close);
      return true;
    }
    if (!(yield* reader.take(','))) return false;
    sink(',');
    sink(yield* reader.space());
  }
}

/** Reads a string with its quotes, which comes next. */
export function* readString(reader: Reader, sink: Sink): Reading<boolean> {
  sink(reader.skip(1));
  for (;;) {
    const run = reader.available(plain);
    if (run !== '') sink(run);
    const next = yield* reader.peek();
    if (next === undefined) return false;
    if (next === '"') {
      sink(reader.skip(1));
      return true;
    }
    if (next === '\\') {
      if (!(yield* readEscape(reader, sink))) return false;
    } else if (next < ' ') sink(JSON.stringify(reader.skip(1)).slice(1, -1));
  }
}

function* readEscape(reader: Reader, sink: Sink): Reading<boolean> {
  while (reader.ahead.length < 2) if (!(yield* reader.more())) return false;
  const kind = reader.ahead.charAt(1);
  if (kind === 'u') {
    while (reader.ahead.length < 6 && /^\\u[\da-fA-F]*$/.test(reader.ahead)) {
      if (!(yield* reader.more())) return false;
    }
    if (/^\\u[\da-fA-F]{4}/.test(reader.ahead)) {
      sink(reader.skip(6));
      return true;
    }
  }
  if ('"\\/bfnrt'.includes(kind)) sink(reader.skip(2));
  else sink(`\\${reader.skip(1)}`);
  return true;
}

/** The text of a string that comes next; undefined, with nothing taken, when there is none. */
export function* readText(reader: Reader): Reading<string | undefined> {
  let json = '';
  const found = yield* reader.attempt(function* () {
    if ((yield* reader.peek()) !== '"') return false;
    return yield* readString(reader, (piece) => {
      json += piece;
    });
  });
  return found ? (JSON.parse(json) as string) : undefined;
}
