// DeepSeek, in three generations: a function with a block of JSON (V3, R1), a name and JSON (V3.1), and tags per argument
// (V3.2 and later).

import { readArguments } from '../call-objects.ts';
import { type ArgumentTags, readTaggedArguments } from '../call-tags.ts';
import type { Calls } from '../calls.ts';
import type { CallFormat } from '../format.ts';
import type { Reader, Reading } from '../reader.ts';

const calls = { begin: '<｜tool▁calls▁begin｜>', end: '<｜tool▁calls▁end｜>' };
const call = { begin: '<｜tool▁call▁begin｜>', sep: '<｜tool▁sep｜>', end: '<｜tool▁call▁end｜>' };
const tagged = { begin: '<｜DSML｜function_calls>', end: '</｜DSML｜function_calls>' };
const invoke = '<｜DSML｜invoke name="';

const tags: ArgumentTags = {
  open: '<｜DSML｜parameter name="',
  nameEnd: '"',
  openEnd: '>',
  close: '</｜DSML｜parameter>',
  callClose: '</｜DSML｜invoke>',
};

function* readCall(reader: Reader, into: Calls): Reading<boolean> {
  const head = (yield* reader.run(/[\w.-]*/y, 256)).trim();
  if (head === '' || !(yield* reader.take(call.sep))) return false;
  let name = head;
  if (head === 'function' && (yield* reader.peek()) !== '{')
    name = (yield* reader.run(/[\w.-]*/y, 256)).trim();
  if (name === '') return false;
  yield* reader.space();
  const fenced = yield* reader.take('```json');
  yield* reader.space();
  if ((yield* reader.peek()) !== '{') return false;
  if (!(yield* readArguments(reader, into.begin(name)))) return true;
  yield* reader.space();
  if (fenced) yield* reader.take('```');
  yield* reader.space();
  yield* reader.take(call.end);
  return true;
}

function* readInvoke(reader: Reader, into: Calls): Reading<boolean> {
  if (!(yield* reader.take(invoke))) return false;
  const name = yield* reader.run(/[^"<>\n]*/y, 256);
  if (name === '' || !(yield* reader.take('">'))) return false;
  yield* readTaggedArguments(reader, into, name, tags);
  return true;
}

export const deepseek: CallFormat = {
  name: 'deepseek',
  matches: (template) => template.includes(call.begin) || template.includes('｜DSML｜'),
  openers: [calls.begin, call.begin, tagged.begin],
  before: calls.begin,
  between: '\n',
  after: calls.end,
  call: (name, args) => ({
    kind: 'sequence',
    parts: [
      { kind: 'literal', text: `${call.begin}function${call.sep}${name}\n\`\`\`json\n` },
      args,
      { kind: 'literal', text: `\n\`\`\`${call.end}` },
    ],
  }),
  *read(reader, into, opener) {
    if (opener === call.begin) return yield* readCall(reader, into);
    const isTagged = opener === tagged.begin;
    let count = 0;
    for (;;) {
      yield* reader.space();
      const more = yield* reader.attempt(function* () {
        if (isTagged) return yield* readInvoke(reader, into);
        return (yield* reader.take(call.begin)) && (yield* readCall(reader, into));
      });
      if (!more) break;
      count++;
    }
    yield* reader.take(isTagged ? tagged.end : calls.end);
    return count > 0;
  },
};
