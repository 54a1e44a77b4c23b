// DeepSeek V3 and R1: a function's name with a block of JSON, between tokens. V3.1 writes the arguments right behind the name.

import type { ConstraintSpec } from '../../generate/guided/spec.ts';
import { readArguments } from '../call-objects.ts';
import type { Calls } from '../calls.ts';
import type { CallFormat } from '../format.ts';
import type { Reader, Reading } from '../reader.ts';
import { dsmlOpeners, readInvokes } from './deepseek-dsml.ts';

const calls = { begin: '<｜tool▁calls▁begin｜>', end: '<｜tool▁calls▁end｜>' };
const call = { begin: '<｜tool▁call▁begin｜>', sep: '<｜tool▁sep｜>', end: '<｜tool▁call▁end｜>' };

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

const written = (before: string, args: ConstraintSpec, after: string): ConstraintSpec => ({
  kind: 'sequence',
  parts: [{ kind: 'literal', text: `${call.begin}${before}` }, args, { kind: 'literal', text: after }],
});

export const deepseek: CallFormat = {
  name: 'deepseek',
  matches: (template) => template.includes(call.begin),
  openers: [calls.begin, call.begin, ...dsmlOpeners],
  before: calls.begin,
  between: '\n',
  after: calls.end,
  call: (name, args) => written(`function${call.sep}${name}\n\`\`\`json\n`, args, `\n\`\`\`${call.end}`),
  *read(reader, into, opener) {
    if (opener === call.begin) return yield* readCall(reader, into);
    if (opener !== calls.begin) return yield* readInvokes(reader, into, opener);
    let count = 0;
    for (;;) {
      yield* reader.space();
      const more = yield* reader.attempt(function* () {
        return (yield* reader.take(call.begin)) && (yield* readCall(reader, into));
      });
      if (!more) break;
      count++;
    }
    yield* reader.take(calls.end);
    return count > 0;
  },
};

export const deepseekV31: CallFormat = {
  ...deepseek,
  name: 'deepseek-v3.1',
  matches: (template) =>
    template.includes(call.begin) && template.includes(call.sep) && !template.includes('```json'),
  between: '',
  call: (name, args) => written(`${name}${call.sep}`, args, call.end),
};
