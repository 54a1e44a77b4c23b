// [TOOL_CALLS]NAME[ARGS]{…} for each call: Mistral from version 11 of its tokenizer on; some write [CALL_ID] and an id between.

import type { CallFormat } from '../format.ts';
import { mistral } from './mistral.ts';

export const mistralArgs: CallFormat = {
  ...mistral,
  name: 'mistral-args',
  matches: (template) => template.includes('[TOOL_CALLS]') && template.includes('[ARGS]'),
  before: '',
  between: '',
  after: '',
  call: (name, args) => ({
    kind: 'sequence',
    parts: [
      { kind: 'literal', text: `[TOOL_CALLS]${name}` },
      {
        kind: 'repeat',
        max: 1,
        part: {
          kind: 'sequence',
          parts: [
            { kind: 'literal', text: '[CALL_ID]' },
            { kind: 'regex', pattern: '[A-Za-z0-9]{9}' },
          ],
        },
      },
      { kind: 'literal', text: '[ARGS]' },
      args,
    ],
  }),
};
