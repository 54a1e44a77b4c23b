// Calls in the words of Python: [name(key="value", n=3), other()]. Arguments are handed on as JSON while they come; slips that
// models make are taken for what they mean: quotes inside a string that end nothing, JSON's words for Python's.

import type { Calls } from './calls.ts';
import type { Reader, Reading } from './reader.ts';

type Sink = (json: string) => void;

const maxDepth = 256;
const maxName = 256;
const nameRun = /[\w.-]*/y;
const keyRun = /\w*/y;
const numeric = /[-+.eE\d_]*/y;
const jsonNumber = /^-?(0|[1-9]\d*)(\.\d+)?([eE][-+]?\d+)?$/;
const hex = /[\da-fA-F]*/y;
// biome-ignore lint/suspicious/noControlCharactersInRegex: they are what a JSON string may not hold.
const needsEscape = /["\\\u0000-\u001f]/g;
const words: readonly (readonly [string, string])[] = [
  ['True', 'true'],
  ['False', 'false'],
  ['None', 'null'],
  ['true', 'true'],
  ['false', 'false'],
  ['null', 'null'],
];

/**
 * Reads `name(…)` and what follows it after commas or white space, in brackets or not; the number of calls that were begun.
 * When one breaks off, what is there of it stays and the rest is text. `onlyKnown`: a call names one of the tools.
 */
export function* readPythonCalls(reader: Reader, calls: Calls, onlyKnown = false): Reading<number> {
  const before = calls.count;
  yield* reader.attempt(function* () {
    yield* reader.space();
    const isList = yield* reader.take('[');
    for (;;) {
      yield* reader.space();
      if (!(yield* readPythonCall(reader, calls, onlyKnown))) break;
      yield* reader.space();
      yield* reader.take(',');
    }
    if (calls.count === before) return false;
    if (isList) yield* reader.take(']');
    return true;
  });
  return calls.count - before;
}

/** False: this is no call or only the beginning of one, which stays. */
function* readPythonCall(reader: Reader, calls: Calls, onlyKnown: boolean): Reading<boolean> {
  let complete = false;
  yield* reader.attempt(function* () {
    const name = yield* reader.run(nameRun, maxName);
    if (name === '' || (onlyKnown && !calls.has(name)) || !(yield* reader.take('('))) return false;
    complete = yield* readArguments(reader, calls, name);
    return true;
  });
  return complete;
}

function* readArguments(reader: Reader, calls: Calls, name: string): Reading<boolean> {
  const sink = calls.begin(name);
  let separator = '{';
  for (let index = 0; ; index++) {
    yield* reader.space();
    if (yield* reader.take(')')) break;
    let read = false;
    yield* reader.attempt(function* () {
      const key = yield* readKey(reader, calls, name, index);
      if (key === undefined) return false;
      // The key is told with the first piece of its value: what has none is text, key and all.
      let told = false;
      read = yield* readValue(reader, (json) => {
        if (!told) sink(`${separator}${JSON.stringify(key)}: `);
        told = true;
        sink(json);
      });
      if (told) separator = ', ';
      return told;
    });
    if (!read) return false;
    yield* reader.space();
    if (!(yield* reader.take(',')) && (yield* reader.peek()) !== ')') return false;
  }
  sink(separator === '{' ? '{}' : '}');
  return true;
}

/** The key before `=`; without one, the parameter at this place. */
function* readKey(reader: Reader, calls: Calls, name: string, index: number): Reading<string | undefined> {
  let key: string | undefined;
  yield* reader.attempt(function* () {
    const word = yield* reader.run(keyRun, maxName);
    yield* reader.space();
    if (word === '' || !(yield* reader.take('='))) return false;
    key = word;
    return true;
  });
  yield* reader.space();
  return key ?? calls.parameterAt(name, index);
}

/** Reads a literal; false, with what was valid so far handed on, at the first character that cannot follow. */
function* readValue(reader: Reader, sink: Sink, depth = 0): Reading<boolean> {
  const next = yield* reader.peek();
  if (next === undefined || depth > maxDepth) return false;
  if (next === '"' || next === "'") return yield* readText(reader, sink);
  if (next === '{') return yield* readItems(reader, sink, '}', depth);
  if (next === '[') return yield* readItems(reader, sink, ']', depth);
  if (next === '(') return yield* readItems(reader, sink, ')', depth);
  for (const [word, json] of words) {
    if (yield* reader.take(word)) {
      sink(json);
      return true;
    }
  }
  return yield* reader.attempt(function* () {
    const text = (yield* reader.run(numeric, 64)).replaceAll('_', '');
    const number = Number(text);
    if (text === '' || !Number.isFinite(number)) return false;
    sink(jsonNumber.test(text) ? text : JSON.stringify(number));
    return true;
  });
}

/** A dictionary, a list, or a tuple, which is a list. */
function* readItems(reader: Reader, sink: Sink, close: '}' | ']' | ')', depth: number): Reading<boolean> {
  const [opened, closed] = close === '}' ? ['{', '}'] : ['[', ']'];
  reader.skip(1);
  sink(opened);
  for (let separator = ''; ; separator = ', ') {
    yield* reader.space();
    if (yield* reader.take(close)) break;
    let told = false;
    const item: Sink = (json) => {
      if (!told) sink(separator);
      told = true;
      sink(json);
    };
    if (close === '}') {
      const next = yield* reader.peek();
      if ((next !== '"' && next !== "'") || !(yield* readText(reader, item))) return false;
      yield* reader.space();
      if (!(yield* reader.take(':'))) return false;
      item(': ');
      yield* reader.space();
    }
    if (!(yield* readValue(reader, item, depth + 1))) return false;
    yield* reader.space();
    if (!(yield* reader.take(',')) && (yield* reader.peek()) !== close) return false;
  }
  sink(closed);
  return true;
}

const escapes: Readonly<Record<string, string>> = {
  n: '\n',
  t: '\t',
  r: '\r',
  b: '\b',
  f: '\f',
  v: '\v',
  a: '\u0007',
  '0': '\0',
  '/': '/',
  '\\': '\\',
  "'": "'",
  '"': '"',
  '\n': '',
};
const codeLengths: Readonly<Record<string, number>> = { x: 2, u: 4, U: 8 };

/** A string in either quotes. */
function* readText(reader: Reader, sink: Sink): Reading<boolean> {
  const quote = reader.skip(1);
  const plain = quote === '"' ? /[^"\\]*/y : /[^'\\]*/y;
  const say = (text: string): void => {
    if (text !== '') sink(escaped(text));
  };
  sink('"');
  for (;;) {
    say(reader.available(plain));
    const next = yield* reader.peek();
    if (next === undefined) return false;
    if (next === '\\') yield* readEscape(reader, say);
    else if (next === quote) {
      if (yield* endsText(reader)) break;
      say(quote);
    }
  }
  sink('"');
  return true;
}

/** Takes a quote. Python has nothing but these characters after a string; before others it belongs to the text. */
function* endsText(reader: Reader): Reading<boolean> {
  reader.skip(1);
  let ends = false;
  yield* reader.attempt(function* () {
    yield* reader.space();
    const next = yield* reader.peek();
    ends = next === undefined || ',)]}:'.includes(next);
    return false;
  });
  return ends;
}

function* readEscape(reader: Reader, say: (text: string) => void): Reading<void> {
  reader.skip(1);
  const next = yield* reader.peek();
  if (next === undefined) return say('\\');
  reader.skip(1);
  const length = codeLengths[next];
  if (length === undefined) return say(escapes[next] ?? `\\${next}`);
  const digits = yield* reader.run(hex, length);
  const code = Number.parseInt(digits, 16);
  if (digits.length < length || code > 0x10ffff) say(`\\${next}${digits}`);
  else say(next === 'u' ? String.fromCharCode(code) : String.fromCodePoint(code));
}

const escaped = (text: string): string => text.replace(needsEscape, (c) => JSON.stringify(c).slice(1, -1));

/** A value as Python writes it. */
export function pythonText(value: unknown): string {
  if (value === null || value === undefined) return 'None';
  if (typeof value === 'boolean') return value ? 'True' : 'False';
  if (Array.isArray(value)) return `[${value.map(pythonText).join(', ')}]`;
  if (typeof value !== 'object') return JSON.stringify(value);
  const members = Object.entries(value).map(([key, item]) => `${JSON.stringify(key)}: ${pythonText(item)}`);
  return `{${members.join(', ')}}`;
}
