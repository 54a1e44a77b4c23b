// <tool_call><function=NAME><parameter=KEY>VALUE</parameter></function></tool_call>: Qwen3-Coder. Llama 3.1 writes JSON
// between <function=NAME> and </function>.

import { taggedSpecs } from '../argument-specs.ts';
import { readTaggedFunction } from '../call-tags.ts';
import type { CallFormat } from '../format.ts';
import { hermes } from './hermes.ts';

export const qwenCoder: CallFormat = {
  name: 'qwen-coder',
  matches: (template) => template.includes('<function=') && template.includes('<parameter='),
  openers: ['<tool_call>', '<function='],
  before: '',
  between: '\n',
  after: '',
  call: (name, _args, tool) => ({
    kind: 'sequence',
    parts: [
      { kind: 'literal', text: `<tool_call>\n<function=${name}>\n` },
      ...taggedSpecs(tool, {
        open: (key) => `<parameter=${key}>\n`,
        close: '\n</parameter>\n',
        without: ['</parameter>', '</function>'],
      }),
      { kind: 'literal', text: '</function>\n</tool_call>' },
    ],
  }),
  *read(reader, calls, opener) {
    if (opener === '<tool_call>') return yield* hermes.read(reader, calls, opener);
    return yield* readTaggedFunction(reader, calls);
  },
};
