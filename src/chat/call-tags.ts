// Calls that are written as tags, with a tag for each argument.

import { readArguments } from './call-objects.ts';
import type { Calls } from './calls.ts';
import type { Reader, Reading } from './reader.ts';

/** The tags of a format in which every argument has its own. */
export interface ArgumentTags {
  /** Before the name of an argument, and what ends it: attributes may stand between its quote and that end. */
  readonly open: string;
  readonly nameEnd: string;
  readonly openEnd: string;
  /** What may stand before that end. Default: attributes. */
  readonly attributes?: RegExp;
  readonly close: string;
  /** Values stand on lines of their own: a line break at either end is none of theirs. */
  readonly lines?: boolean;
  /** What ends the call. */
  readonly callClose: string;
}

/** Reads the arguments of a call whose name was read, and the tag that ends it. Always makes one complete object. */
export function* readTaggedArguments(
  reader: Reader,
  calls: Calls,
  name: string,
  tags: ArgumentTags,
): Reading<void> {
  const sink = calls.begin(name);
  let separator = '{';
  for (;;) {
    yield* reader.space();
    if (yield* reader.take(tags.callClose)) break;
    const argument = yield* readArgumentTag(reader, tags);
    if (!argument) break;
    sink(`${separator}${JSON.stringify(argument.name)}: `);
    separator = ', ';
    const types = argument.isText === undefined ? calls.typesOf(name, argument.name) : undefined;
    const isText = argument.isText ?? (types === undefined || (types.length === 1 && types[0] === 'string'));
    if (!(yield* readArgumentValue(reader, sink, tags, isText, types?.includes('string') ?? false))) return;
  }
  sink(separator === '{' ? '{}' : '}');
}

const maxName = 256;

function* readArgumentTag(
  reader: Reader,
  tags: ArgumentTags,
): Reading<{ readonly name: string; readonly isText: boolean | undefined } | undefined> {
  let name = '';
  let attributes = '';
  const read = yield* reader.attempt(function* () {
    if (!(yield* reader.take(tags.open))) return false;
    name = yield* reader.run(/[^<>"\n]*/y, maxName);
    if (name === '' || !(yield* reader.take(tags.nameEnd))) return false;
    if (tags.nameEnd === tags.openEnd) return true;
    attributes = (yield* reader.run(tags.attributes ?? /[^<>\n]*/y, maxName)).trim();
    return /^(string="(true|false)")?$/.test(attributes) && (yield* reader.take(tags.openEnd));
  });
  if (!read) return undefined;
  return { name: name.trim(), isText: attributes === '' ? undefined : attributes.includes('true') };
}

/** False when the text ended inside the value. */
function* readArgumentValue(
  reader: Reader,
  sink: (json: string) => void,
  tags: ArgumentTags,
  isText: boolean,
  mayBeText: boolean,
): Reading<boolean> {
  if (tags.lines) yield* reader.take('\n');
  let value = '';
  let held = '';
  if (isText) sink('"');
  const marker = yield* reader.until([tags.close, tags.callClose], (piece) => {
    if (!isText) value += piece;
    else {
      // The line break before the closing tag is not part of the value; half a surrogate pair waits for its other half.
      const all = held + piece;
      held = (tags.lines ? /[\n\ud800-\udbff]$/ : /[\ud800-\udbff]$/).exec(all)?.[0] ?? '';
      sink(escaped(all.slice(0, all.length - held.length)));
    }
  });
  if (marker === undefined) {
    sink(isText ? escaped(held) : jsonOf(value, mayBeText));
    return false;
  }
  sink(isText ? `${tags.lines && held === '\n' ? '' : escaped(held)}"` : jsonOf(value.trim(), mayBeText));
  if (marker === tags.callClose) reader.unread(marker);
  return true;
}

const escaped = (text: string): string => JSON.stringify(text).slice(1, -1);

/** A value that is no text by its schema, as JSON; as text all the same when it is none. */
function jsonOf(value: string, mayBeText: boolean): string {
  try {
    JSON.parse(value);
    return value;
  } catch {
    const lower = value.toLowerCase();
    if (!mayBeText && ['true', 'false', 'none', 'null'].includes(lower))
      return lower === 'none' ? 'null' : lower;
    return JSON.stringify(value);
  }
}

const functionTags: ArgumentTags = {
  open: '<parameter=',
  nameEnd: '>',
  openEnd: '>',
  close: '</parameter>',
  callClose: '</function>',
  lines: true,
};

/** Reads a call after `<function=`. */
export function* readTaggedFunction(reader: Reader, calls: Calls): Reading<boolean> {
  const name = (yield* reader.run(/[^<>"\s]*/y, 256)).trim();
  if (name === '' || !(yield* reader.take('>'))) return false;
  yield* reader.space();
  if ((yield* reader.peek()) === '{') {
    if (yield* readArguments(reader, calls.begin(name))) {
      yield* reader.space();
      yield* reader.take(functionTags.callClose);
    }
  } else yield* readTaggedArguments(reader, calls, name, functionTags);
  return true;
}
