// <|tool_call_start|>[name(key="value"), other()]<|tool_call_end|>: LFM2. Its templates take calls as part of the answer's text.

import { pythonSpecs } from '../argument-specs.ts';
import { readCallObjects } from '../call-objects.ts';
import type { CallFormat } from '../format.ts';
import { argumentObject } from '../normalise.ts';
import { pythonText, readPythonCalls } from '../python-reader.ts';
import type { WrittenCall } from '../tool-prompt.ts';

const open = '<|tool_call_start|>';
const close = '<|tool_call_end|>';

/** Calls as a list in the words of Python. */
export const pythonCalls = (calls: readonly WrittenCall[]): string =>
  `[${calls
    .map(({ name, arguments: given }) => {
      const args = argumentObject(given);
      const pairs = typeof args === 'object' ? Object.entries(args ?? {}) : [];
      return `${name}(${pairs.map(([key, value]) => `${key}=${pythonText(value)}`).join(', ')})`;
    })
    .join(', ')}]`;

export const lfm2: CallFormat = {
  name: 'lfm2',
  matches: (template) => template.includes('<|tool_list_start|>') || template.includes(open),
  openers: [open],
  markers: [close],
  before: `${open}[`,
  between: ', ',
  after: `]${close}`,
  call: (name, _args, tool) => ({
    kind: 'sequence',
    parts: [{ kind: 'literal', text: `${name}(` }, ...pythonSpecs(tool), { kind: 'literal', text: ')' }],
  }),
  history: (calls) => `${open}${pythonCalls(calls)}${close}`,
  *read(reader, calls) {
    yield* reader.space();
    // Models that a system prompt asks for JSON write that.
    const count = calls.count;
    yield* readCallObjects(reader, calls, [',']);
    if (calls.count === count && (yield* readPythonCalls(reader, calls)) === 0) return false;
    yield* reader.space();
    yield* reader.take(close);
    return true;
  },
};
