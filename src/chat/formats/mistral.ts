// [TOOL_CALLS][{"name": …, "arguments": …}], and in newer models [TOOL_CALLS]NAME[ARGS]{…}: Mistral.

import { readArguments, readCallObjects } from '../call-objects.ts';
import type { CallFormat } from '../format.ts';
import { newId } from '../parser.ts';

export const mistral: CallFormat = {
  name: 'mistral',
  matches: (template) => template.includes('[TOOL_CALLS]'),
  openers: ['[TOOL_CALLS]'],
  before: '[TOOL_CALLS][',
  between: ', ',
  after: ']',
  call: (name, args) => ({
    kind: 'sequence',
    parts: [
      { kind: 'literal', text: `{"name": ${JSON.stringify(name)}, "arguments": ` },
      args,
      { kind: 'literal', text: '}' },
    ],
  }),
  /** Templates refuse ids that are not nine letters and digits. */
  newId: () => newId().slice(-9),
  *read(reader, calls) {
    yield* reader.space();
    const next = yield* reader.peek();
    if (next === '[' || next === '{') return (yield* readCallObjects(reader, calls, [','])) > 0;
    const name = yield* reader.run(/[\w.-]*/y, 256);
    if (name === '') return false;
    if (yield* reader.take('[CALL_ID]')) yield* reader.run(/\w*/y, 256);
    yield* reader.take('[ARGS]');
    yield* reader.space();
    if ((yield* reader.peek()) !== '{') return false;
    yield* readArguments(reader, calls.begin(name));
    return true;
  },
};
