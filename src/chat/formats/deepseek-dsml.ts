// <｜DSML｜invoke name="NAME"> with <｜DSML｜parameter name="KEY" string="true|false">VALUE for each argument: DeepSeek V3.2, which calls
// a block of them function_calls, and V4, which calls it tool_calls.

import { taggedSpecs } from '../argument-specs.ts';
import { type ArgumentTags, readTaggedArguments } from '../call-tags.ts';
import type { Calls } from '../calls.ts';
import type { CallFormat } from '../format.ts';
import type { Reader, Reading } from '../reader.ts';

const mark = '｜DSML｜';
const blocks = ['function_calls', 'tool_calls'] as const;

export const dsmlOpeners: readonly string[] = blocks.map((block) => `<${mark}${block}>`);

const tags: ArgumentTags = {
  open: `<${mark}parameter name="`,
  nameEnd: '"',
  openEnd: '>',
  close: `</${mark}parameter>`,
  callClose: `</${mark}invoke>`,
};

function* readInvoke(reader: Reader, into: Calls): Reading<boolean> {
  if (!(yield* reader.take(`<${mark}invoke name="`))) return false;
  const name = yield* reader.run(/[^"<>\n]*/y, 256);
  if (name === '' || !(yield* reader.take('">'))) return false;
  yield* readTaggedArguments(reader, into, name, tags);
  return true;
}

/** Reads the calls of a block after its opener. */
export function* readInvokes(reader: Reader, into: Calls, opener: string): Reading<boolean> {
  let count = 0;
  for (;;) {
    yield* reader.space();
    if (!(yield* reader.attempt(() => readInvoke(reader, into)))) break;
    count++;
  }
  yield* reader.take(opener.replace('<', '</'));
  return count > 0;
}

const dsml = (name: string, block: (typeof blocks)[number], matches: CallFormat['matches']): CallFormat => ({
  name,
  matches,
  openers: dsmlOpeners,
  markers: [mark],
  before: `<${mark}${block}>\n`,
  between: '\n',
  after: `\n</${mark}${block}>`,
  call: (called, _args, tool) => ({
    kind: 'sequence',
    parts: [
      { kind: 'literal', text: `<${mark}invoke name="${called}">\n` },
      ...taggedSpecs(tool, {
        open: (key, isText) => `${tags.open}${key}" string="${isText}">`,
        close: `${tags.close}\n`,
        without: [tags.close, tags.callClose],
      }),
      { kind: 'literal', text: tags.callClose },
    ],
  }),
  read: readInvokes,
});

export const deepseekV4: CallFormat = dsml(
  'deepseek-v4',
  'tool_calls',
  (template) =>
    template.includes(mark) &&
    /DSML｜tool_calls|dsml_token ?(~|\+) ?['"]tool_calls|}}tool_calls/.test(template),
);
export const deepseekV32: CallFormat = dsml('deepseek-v3.2', 'function_calls', (template) =>
  template.includes(mark),
);
