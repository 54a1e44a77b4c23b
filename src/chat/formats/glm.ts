// <tool_call>NAME, then <arg_key>KEY</arg_key> <arg_value>VALUE</arg_value> for each argument, </tool_call>: GLM-4.5 and later.

import { taggedSpecs } from '../argument-specs.ts';
import { type ArgumentTags, readTaggedArguments } from '../call-tags.ts';
import type { CallFormat } from '../format.ts';
import { hermes } from './hermes.ts';

const tags: ArgumentTags = {
  open: '<arg_key>',
  nameEnd: '</arg_key>',
  openEnd: '<arg_value>',
  attributes: /\s*/y,
  close: '</arg_value>',
  callClose: '</tool_call>',
};

export const glm: CallFormat = {
  name: 'glm',
  matches: (template) => template.includes('<arg_key>'),
  openers: ['<tool_call>'],
  markers: ['<arg_key>', '</arg_key>', '<arg_value>', '</arg_value>'],
  before: '',
  between: '\n',
  after: '',
  call: (name, _args, tool) => ({
    kind: 'sequence',
    parts: [
      { kind: 'literal', text: `<tool_call>${name}\n` },
      ...taggedSpecs(tool, {
        open: (key) => `<arg_key>${key}</arg_key>\n<arg_value>`,
        close: '</arg_value>\n',
        without: ['</arg_value>', '</tool_call>'],
      }),
      { kind: 'literal', text: '</tool_call>' },
    ],
  }),
  *read(reader, calls, opener) {
    yield* reader.space();
    const next = yield* reader.peek();
    if (next === '{' || next === '[' || next === '<') return yield* hermes.read(reader, calls, opener);
    const name = yield* reader.run(/[\w.-]*/y, 256);
    if (name === '') return false;
    yield* reader.space();
    const after = yield* reader.peek();
    if (after !== undefined && after !== '<') return false;
    yield* readTaggedArguments(reader, calls, name, tags);
    yield* reader.space();
    return true;
  },
};
