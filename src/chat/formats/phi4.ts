// <|tool_call|>[{"name": …, "arguments": …}]<|/tool_call|>: Phi-4-mini. Its template takes the tools in the system message, and
// calls as part of the answer's text.

import { readCallObjects } from '../call-objects.ts';
import type { CallFormat } from '../format.ts';
import { textOf } from '../normalise.ts';
import { callObject, objectCall } from '../object-calls.ts';

const open = '<|tool_call|>';
const close = '<|/tool_call|>';

export const phi4: CallFormat = {
  name: 'phi4',
  matches: (template) => template.includes('<|/tool|>') || template.includes(close),
  openers: [open],
  markers: [close],
  before: `${open}[`,
  between: ', ',
  after: `]${close}`,
  call: objectCall,
  history: (calls) => `${open}[${calls.map(callObject).join(', ')}]${close}`,
  messages(messages, tools, template) {
    // Some files have templates that take the tools apart from the messages.
    if (tools.length === 0 || !/message(\.tools\b|\[['"]tools['"]\])/.test(template)) return messages;
    const listed = JSON.stringify(tools.map((tool) => tool.function));
    const at = messages.findIndex(({ role }) => role === 'system' || role === 'developer');
    if (at < 0) return [{ role: 'system', content: '', tools: listed }, ...messages];
    return messages.map((message, i) =>
      i === at ? { ...message, content: textOf(message.content), tools: listed } : message,
    );
  },
  *read(reader, calls) {
    yield* reader.space();
    if ((yield* readCallObjects(reader, calls, [','])) === 0) return false;
    yield* reader.space();
    yield* reader.take(close);
    return true;
  },
};
