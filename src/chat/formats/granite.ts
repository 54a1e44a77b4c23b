// <|tool_call|>[{"name": …, "arguments": …}]: Granite 3. Its templates take calls as part of the answer's text. (Granite 4 writes
// them as Hermes does.)

import { readCallObjects } from '../call-objects.ts';
import type { CallFormat } from '../format.ts';
import { callObject, objectCall } from '../object-calls.ts';

const open = '<|tool_call|>';

export const granite: CallFormat = {
  name: 'granite',
  matches: (template) =>
    template.includes('<|start_of_role|>') &&
    !template.includes('<tool_call>') &&
    (template.includes(open) || template.includes('available_tools')),
  openers: [open],
  before: `${open}[`,
  between: ', ',
  after: ']',
  call: objectCall,
  history: (calls) => `${open}[${calls.map(callObject).join(', ')}]`,
  // Granite 3.0 knows results by another role.
  messages: (messages, _tools, template) =>
    template.includes("'tool_response'")
      ? messages.map((message) => (message.role === 'tool' ? { ...message, role: 'tool_response' } : message))
      : messages,
  *read(reader, calls) {
    yield* reader.space();
    return (yield* readCallObjects(reader, calls, [','])) > 0;
  },
};
