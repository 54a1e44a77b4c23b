// {"name": …, "parameters": …}, after <|python_tag|> or without anything: Llama 3.1 and later.

import { readCallObjects } from '../call-objects.ts';
import { readTaggedFunction } from '../call-tags.ts';
import type { CallFormat } from '../format.ts';

const between = [';', ',', '<|python_tag|>'];

export const llama3: CallFormat = {
  name: 'llama3',
  matches: (template) =>
    template.includes('<|python_tag|>') ||
    (template.includes('<|start_header_id|>') &&
      /["']?parameters["']?/.test(template) &&
      /\btools\b/.test(template)),
  openers: ['<|python_tag|>', '<function='],
  before: '',
  between: '; ',
  after: '',
  call: (name, args) => ({
    kind: 'sequence',
    parts: [
      { kind: 'literal', text: `{"name": ${JSON.stringify(name)}, "parameters": ` },
      args,
      { kind: 'literal', text: '}' },
    ],
  }),
  *read(reader, calls, opener) {
    if (opener === '<function=') return yield* readTaggedFunction(reader, calls);
    return (yield* readCallObjects(reader, calls, between)) > 0;
  },
  /** JSON may also be the answer itself: a call names one of the tools. */
  *bare(reader, calls) {
    return (yield* readCallObjects(reader, calls, between, true)) > 0;
  },
};
