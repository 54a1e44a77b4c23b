// The parser of answers: text up to a marker, then what the marker begins. Markup that turns out to be none is text.

import type { AnswerEvent, AnswerParser } from './answer.ts';
import { Calls } from './calls.ts';
import type { ParserOptions } from './format.ts';
import { Reader, type Reading } from './reader.ts';

/** How calls begin in a format, and how they are read. */
export interface CallSyntax {
  /** Texts that begin a call. */
  readonly openers: readonly string[];
  /** Reads after an opener. False: this is no call, and nothing was said. */
  read(reader: Reader, calls: Calls, opener: string): Reading<boolean>;
  /** Reads a call without an opener at the beginning of the answer. */
  bare?(reader: Reader, calls: Calls): Reading<boolean>;
  /** Reads a whole answer, where all of it is markup; `calls` is undefined when nothing may be called. */
  answer?(reader: Reader, calls: Calls | undefined, prompt: string): Reading<void>;
}

export interface ReasoningTags {
  readonly open: string;
  readonly close: string;
  /** What the thoughts do not hold. Default: the tags. */
  readonly without?: readonly string[];
  /** What may follow, as a pattern. Default: two line breaks. */
  readonly after?: string;
}

export function answerParser(
  syntax: CallSyntax,
  reasoning: readonly ReasoningTags[],
  options: ParserOptions & {
    /** Marks around the text of an answer, which say nothing. */
    readonly frame?: readonly string[] | undefined;
  } = {},
): AnswerParser {
  const reader = new Reader();
  const calls = new Calls(reader, options.tools ?? [], options.newId ?? newId);
  const withCalls = (options.tools ?? []).length > 0;
  const { prompt = '', frame = [] } = options;
  const opened = reasoning.find(({ open }) => prompt.trimEnd().endsWith(open));
  const reading = syntax.answer
    ? syntax.answer(reader, withCalls ? calls : undefined, prompt)
    : readAnswer({ reader, calls, syntax: withCalls ? syntax : undefined, reasoning, opened, frame });
  const go = (): readonly AnswerEvent[] => {
    reading.next();
    return reader.drain();
  };
  reading.next();
  return {
    push(text) {
      reader.feed(text);
      return go();
    },
    end() {
      reader.end();
      return go();
    },
  };
}

interface AnswerParts {
  readonly reader: Reader;
  readonly calls: Calls;
  readonly syntax: CallSyntax | undefined;
  readonly reasoning: readonly ReasoningTags[];
  /** Reasoning that the prompt has opened. */
  readonly opened: ReasoningTags | undefined;
  readonly frame: readonly string[];
}

function* readAnswer({ reader, calls, syntax, reasoning, opened, frame }: AnswerParts): Reading<void> {
  if (opened) yield* readReasoning(reader, opened);
  if (syntax?.bare) yield* readBare(reader, calls, syntax);
  const openers = syntax?.openers ?? [];
  const markers = [...openers, ...reasoning.map(({ open }) => open), ...frame];
  for (;;) {
    const marker = yield* reader.until(markers, (text) => reader.say('text', text));
    if (marker === undefined) break;
    if (frame.includes(marker)) {
      reader.dropSpace();
      yield* reader.space();
      continue;
    }
    const tags = reasoning.find(({ open }) => open === marker);
    if (tags) yield* readReasoning(reader, tags);
    else if (syntax && !(yield* reader.attempt(() => syntax.read(reader, calls, marker))))
      reader.say('text', marker);
  }
  reader.keepSpace();
}

/** Whitespace around reasoning sets it off from the answer, and is part of neither. */
function* readReasoning(reader: Reader, { close }: ReasoningTags): Reading<void> {
  reader.dropSpace();
  yield* reader.space();
  const closed = yield* reader.until([close], (text) => reader.say('reasoning', text));
  if (closed === undefined) return reader.keepSpace();
  reader.dropSpace();
  yield* reader.space();
}

function* readBare(reader: Reader, calls: Calls, syntax: CallSyntax): Reading<void> {
  const space = yield* reader.space();
  if (!(yield* reader.attempt(() => syntax.bare?.(reader, calls) ?? never()))) reader.say('text', space);
}

// biome-ignore lint/correctness/useYield: reads nothing.
function* never(): Reading<boolean> {
  return false;
}

const alphabet = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789';

/** A fresh id of a call. */
export const newId = (): string =>
  `call_${Array.from(crypto.getRandomValues(new Uint8Array(24)), (x) => alphabet[x % alphabet.length]).join('')}`;
