// <tool_call>{"name": …, "arguments": …}</tool_call>: Hermes, Qwen 2.5 and 3, SmolLM2 and many others with ChatML.

import { readCallObjects } from '../call-objects.ts';
import { readTaggedFunction } from '../call-tags.ts';
import type { CallFormat } from '../format.ts';

export const hermes: CallFormat = {
  name: 'hermes',
  matches: (template) => template.includes('<tool_call>'),
  openers: ['<tool_call>'],
  before: '',
  between: '\n',
  after: '',
  call: (name, args) => ({
    kind: 'sequence',
    parts: [
      { kind: 'literal', text: `<tool_call>\n{"name": ${JSON.stringify(name)}, "arguments": ` },
      args,
      { kind: 'literal', text: '}\n</tool_call>' },
    ],
  }),
  *read(reader, calls) {
    yield* reader.space();
    // Models trained on both forms mix them up.
    if (yield* reader.take('<function=')) {
      if (!(yield* readTaggedFunction(reader, calls))) return false;
    } else if ((yield* readCallObjects(reader, calls, [','])) === 0) return false;
    yield* reader.space();
    yield* reader.take('</tool_call>');
    yield* reader.space();
    return true;
  },
};
