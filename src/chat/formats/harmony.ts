// Harmony, the form of GPT-OSS: an answer is messages, each with a header that names its channel and perhaps a recipient:
// <|channel|>analysis<|message|>…<|end|><|start|>assistant<|channel|>final<|message|>…<|return|>. Analysis is reasoning, final and
// commentary are text, and what goes to functions.NAME is a call. https://github.com/openai/harmony

import type { ConstraintSpec } from '../../generate/guided/spec.ts';
import { readArguments } from '../call-objects.ts';
import type { Calls } from '../calls.ts';
import type { CallFormat } from '../format.ts';
import type { PromptMessage } from '../messages.ts';
import { textOf } from '../normalise.ts';
import type { Reader, Reading } from '../reader.ts';

const start = '<|start|>';
const channel = '<|channel|>';
const message = '<|message|>';
const ends: readonly string[] = ['<|end|>', '<|call|>', '<|return|>'];
const marks: readonly string[] = [...ends, start, channel];
const final = `${channel}final${message}`;
const literal = (text: string): ConstraintSpec => ({ kind: 'literal', text });
const text: ConstraintSpec = { kind: 'text', without: marks };

interface Header {
  readonly channel: string;
  readonly recipient: string | undefined;
}

const recipientRun = /[\w.-]*/y;
const types: readonly string[] = ['json', 'text', 'code'];
const channels: readonly string[] = ['analysis', 'commentary', 'final'];

/** Reads a header, from wherever in it the text begins; undefined, with nothing taken, when it is none. */
function* readHeader(reader: Reader): Reading<Header | undefined> {
  let header: Header | undefined;
  yield* reader.attempt(function* () {
    if (yield* reader.take(start)) if (!(yield* reader.take('assistant'))) return false;
    const first = yield* readRecipient(reader);
    yield* reader.space();
    if (!(yield* reader.take(channel))) return false;
    const name = yield* reader.run(/[a-z]*/y, 16);
    if (!channels.includes(name)) return false;
    const second = yield* readRecipient(reader);
    yield* reader.space();
    const isNamed = yield* reader.take('<|constrain|>');
    const type = yield* reader.run(/[a-z]*/y, 8);
    if ((isNamed || type !== '') && !types.includes(type)) return false;
    yield* reader.space();
    if (!(yield* reader.take(message))) return false;
    header = { channel: name, recipient: second ?? first };
    return true;
  });
  return header;
}

function* readRecipient(reader: Reader): Reading<string | undefined> {
  let recipient: string | undefined;
  yield* reader.attempt(function* () {
    yield* reader.space();
    if (!(yield* reader.take('to='))) return false;
    recipient = yield* reader.run(recipientRun, 256);
    return recipient !== '';
  });
  return recipient;
}

/** Reads the content of a message and what ends it. */
function* readContent(reader: Reader, calls: Calls | undefined, header: Header): Reading<void> {
  const name = header.recipient?.replace(/^functions\./, '');
  const isCall = name !== undefined && name !== '' && (name !== header.recipient || calls?.has(name));
  if (isCall && calls && name !== undefined) {
    const sink = calls.begin(name);
    yield* reader.space();
    const first = yield* reader.peek();
    if (first === '{') yield* readArguments(reader, sink);
    else if (first === undefined || first === '<') sink('{}');
    yield* reader.space();
  } else if (header.recipient !== undefined) reader.say('text', `to=${header.recipient} `);
  const kind = header.channel === 'analysis' && header.recipient === undefined ? 'reasoning' : 'text';
  const marker = yield* reader.until(marks, (piece) => reader.say(kind, piece));
  if (marker === undefined) return;
  if (!ends.includes(marker)) reader.unread(marker);
  // What comes next is another message.
  reader.dropSpace();
}

const begunMessage =
  /<\|channel\|>(analysis|commentary|final)<\|message\|>(?:(?!<\|(?:end|call|return|start|channel)\|>)[\s\S])*$/;

function* readHarmony(reader: Reader, calls: Calls | undefined, prompt: string): Reading<void> {
  // Texts are set off from texts before them.
  let said = false;
  const read = function* (header: Header): Reading<void> {
    const isText = header.channel !== 'analysis' && header.recipient === undefined;
    if (isText && said) reader.say('text', '\n\n');
    said ||= isText;
    yield* readContent(reader, calls, header);
  };
  const begun = begunMessage.exec(prompt)?.[1];
  if (begun !== undefined) yield* read({ channel: begun, recipient: undefined });
  for (;;) {
    const header = yield* readHeader(reader);
    if (header) {
      yield* read(header);
      continue;
    }
    if ((yield* reader.peek()) === undefined) break;
    // What a model writes without a header is its answer, with a mark that begins none.
    for (const mark of [start, channel]) if (yield* reader.take(mark)) reader.say('text', mark);
    const marker = yield* reader.until(marks, (piece) => reader.say('text', piece));
    if (marker === undefined) break;
    if (!ends.includes(marker)) reader.unread(marker);
  }
  reader.keepSpace();
}

/** A call and its result at a time, which is what the template knows, and thoughts in one place. */
function* inTurns(messages: readonly PromptMessage[]): Generator<PromptMessage> {
  for (let i = 0; i < messages.length; i++) {
    const message = messages[i];
    if (!message) continue;
    const { tool_calls: calls = [], ...rest } = message;
    if (calls.length === 0) {
      yield message;
      continue;
    }
    const results: PromptMessage[] = [];
    for (let result = messages[i + 1]; result?.role === 'tool'; result = messages[++i + 1])
      results.push(result);
    const thoughts = message.reasoning_content ?? message.reasoning;
    const said = textOf(message.content);
    for (const [j, call] of calls.entries()) {
      const thinking = j > 0 ? undefined : thoughts && said ? `${thoughts}\n\n${said}` : thoughts;
      const content = j > 0 || thoughts ? '' : said;
      const { reasoning_content: _a, reasoning: _b, ...own } = rest;
      yield { ...own, content, ...(thinking ? { reasoning_content: thinking } : {}), tool_calls: [call] };
      const at = results.findIndex(({ tool_call_id: id }) => id !== undefined && id === call.id);
      const [result] = results.splice(Math.max(0, at), at >= 0 || call.id === undefined ? 1 : 0);
      if (result) yield result;
    }
    yield* results;
  }
}

export const harmony: CallFormat = {
  name: 'harmony',
  matches: (template) => template.includes(channel) && template.includes(message),
  openers: [],
  markers: [...marks, message, '<|constrain|>'],
  before: '',
  between: '',
  after: '',
  single: true,
  textOpen: final,
  reasoning: {
    open: `${channel}analysis${message}`,
    close: `<|end|>${start}assistant`,
    without: marks,
    after: '',
  },
  call: (name, args) => ({
    kind: 'sequence',
    parts: [literal(`${channel}commentary to=functions.${name} <|constrain|>json${message}`), args],
  }),
  textOrCalls: (calls) => ({
    kind: 'any_of',
    options: [
      { kind: 'sequence', parts: [literal(final), text] },
      {
        kind: 'sequence',
        parts: [
          {
            kind: 'repeat',
            max: 1,
            part: {
              kind: 'sequence',
              parts: [literal(`${channel}commentary${message}`), text, literal(`<|end|>${start}assistant`)],
            },
          },
          calls,
        ],
      },
    ],
  }),
  messages: (messages) => [...inTurns(messages)],
  variables: ({ reasoning_effort: effort, ...rest }, thinking) => {
    // It cannot be told not to think.
    if (thinking === false || effort === 'none' || effort === 'minimal')
      return { ...rest, reasoning_effort: 'low' };
    if (effort === undefined) return rest;
    return { ...rest, reasoning_effort: effort === 'xhigh' || effort === 'max' ? 'high' : effort };
  },
  answer: readHarmony,
  // biome-ignore lint/correctness/useYield: reads nothing.
  *read() {
    return false;
  },
};
