// Gemma 1 to 3, whose templates know no tools: told of them, these models write calls as a list in the words of Python, in a block
// of tool_code or by itself, or as JSON. https://ai.google.dev/gemma/docs/capabilities/function-calling

import { pythonSpecs } from '../argument-specs.ts';
import { readCallObjects } from '../call-objects.ts';
import type { Calls } from '../calls.ts';
import type { CallFormat } from '../format.ts';
import { readPythonCalls } from '../python-reader.ts';
import type { Reader, Reading } from '../reader.ts';
import { pythonCalls } from './lfm2.ts';

const fence = '```tool_code';

/** Calls of known tools: a list of Python's and JSON may also be the answer itself. */
function* readKnown(reader: Reader, calls: Calls): Reading<boolean> {
  yield* reader.space();
  const isPython = yield* reader.attempt(function* () {
    return (yield* readPythonCalls(reader, calls, true)) > 0;
  });
  return isPython || (yield* readCallObjects(reader, calls, [','], true)) > 0;
}

export const gemma: CallFormat = {
  name: 'gemma',
  matches: (template) => template.includes('<start_of_turn>') && !/\btools\b/.test(template),
  openers: [fence],
  before: '[',
  between: ', ',
  after: ']',
  call: (name, _args, tool) => ({
    kind: 'sequence',
    parts: [{ kind: 'literal', text: `${name}(` }, ...pythonSpecs(tool), { kind: 'literal', text: ')' }],
  }),
  texts: {
    instructions: (tools) => `You can call these functions; each is described by a JSON object on a line:
${tools.map((tool) => JSON.stringify(tool.function)).join('\n')}
To call functions, write a list of calls like the following, and nothing else:
[function_name(argument="value", other_argument=1), other_function()]
What they return comes in a block of tool_output.`,
    calls: pythonCalls,
    result: (text) => `\`\`\`tool_output\n${text}\n\`\`\``,
  },
  *read(reader, calls) {
    if (!(yield* readKnown(reader, calls))) return false;
    yield* reader.space();
    yield* reader.take('```');
    yield* reader.space();
    return true;
  },
  *bare(reader, calls) {
    let fenced = false;
    for (const opener of ['```json', '```python']) fenced ||= yield* reader.take(opener);
    if (!(yield* readKnown(reader, calls))) return false;
    yield* reader.space();
    if (fenced) yield* reader.take('```');
    return true;
  },
};
