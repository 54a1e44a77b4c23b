// Calls that are written as JSON objects with a name and arguments.

import type { Calls } from './calls.ts';
import { readJson, readString, readText } from './json-reader.ts';
import type { Reader, Reading } from './reader.ts';

const argumentKeys = ['arguments', 'parameters'];
const extraKeys = ['id', 'type', 'call_id'];

/**
 * Reads `{"name": …, "arguments": …}`. False: this is no call, and nothing was taken or said. Arguments are handed on as
 * they come once the name is known; when they break off after that, the call stays as it is and the rest is text.
 */
export function* readCallObject(reader: Reader, calls: Calls, onlyKnown = false): Reading<boolean> {
  let begun = false;
  const read = yield* reader.attempt(function* () {
    const call: CallInProgress = { name: undefined, held: undefined, sink: undefined };
    const complete = yield* readMembers(reader, calls, call, onlyKnown);
    begun = call.sink !== undefined;
    if (!complete || call.name === undefined) return begun;
    if (!call.sink) calls.begin(call.name)(call.held ?? '{}');
    return true;
  });
  return read;
}

interface CallInProgress {
  name: string | undefined;
  /** Arguments that came before the name. */
  held: string | undefined;
  sink: ((json: string) => void) | undefined;
}

function* readMembers(
  reader: Reader,
  calls: Calls,
  call: CallInProgress,
  onlyKnown: boolean,
): Reading<boolean> {
  if (!(yield* reader.take('{'))) return false;
  for (;;) {
    yield* reader.space();
    let read = false;
    // What was handed on stays taken; the rest of a member that is none is text, with its key.
    yield* reader.attempt(function* () {
      const handedOn = call.sink;
      read = yield* readKeyed(reader, calls, call, onlyKnown);
      return read || call.sink !== handedOn;
    });
    if (!read) return false;
    yield* reader.space();
    if (yield* reader.take('}')) return true;
    if (!(yield* reader.take(','))) return false;
  }
}

function* readKeyed(
  reader: Reader,
  calls: Calls,
  call: CallInProgress,
  onlyKnown: boolean,
): Reading<boolean> {
  const key = yield* readText(reader);
  if (key === undefined) return false;
  yield* reader.space();
  if (!(yield* reader.take(':'))) return false;
  yield* reader.space();
  return yield* readMember(reader, calls, call, key, onlyKnown);
}

function* readMember(
  reader: Reader,
  calls: Calls,
  call: CallInProgress,
  key: string,
  onlyKnown: boolean,
): Reading<boolean> {
  if (key === 'name' && call.name === undefined) {
    call.name = yield* readText(reader);
    return call.name !== undefined && call.name !== '' && (!onlyKnown || calls.has(call.name));
  }
  if (key === 'function' && call.name === undefined)
    return yield* readMembers(reader, calls, call, onlyKnown);
  if (argumentKeys.includes(key) && call.held === undefined && !call.sink) {
    if (call.name !== undefined) {
      call.sink = calls.begin(call.name);
      return yield* readArguments(reader, call.sink);
    }
    call.held = '';
    return yield* readArguments(reader, (json) => {
      call.held = (call.held ?? '') + json;
    });
  }
  return extraKeys.includes(key) && (yield* readJson(reader, () => undefined));
}

/** Reads arguments: an object as it comes, or a string that holds the JSON of one. */
export function* readArguments(reader: Reader, sink: (json: string) => void): Reading<boolean> {
  if ((yield* reader.peek()) !== '"') return yield* readJson(reader, sink);
  let json = '';
  const found = yield* readString(reader, (piece) => {
    json += piece;
  });
  const inner = found ? String(JSON.parse(json)) : '';
  sink(isObjectText(inner) ? inner : json);
  return found;
}

function isObjectText(text: string): boolean {
  if (!text.trimStart().startsWith('{')) return false;
  try {
    JSON.parse(text);
    return true;
  } catch {
    return false;
  }
}

/** Several call objects in one piece of markup, as a list or one after the other; the number that was read. */
export function* readCallObjects(
  reader: Reader,
  calls: Calls,
  between: readonly string[],
  onlyKnown = false,
): Reading<number> {
  const isList = yield* reader.attempt(function* () {
    if (!(yield* reader.take('['))) return false;
    yield* reader.space();
    return (yield* reader.peek()) === '{';
  });
  let count = 0;
  for (;;) {
    yield* reader.space();
    if (!(yield* readCallObject(reader, calls, onlyKnown))) break;
    count++;
    yield* reader.space();
    for (const separator of isList ? [','] : between) if (yield* reader.take(separator)) break;
  }
  if (isList) yield* reader.take(']');
  return count;
}
