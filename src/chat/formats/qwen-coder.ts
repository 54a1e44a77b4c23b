// <tool_call><function=NAME><parameter=KEY>VALUE</parameter></function></tool_call>: Qwen3-Coder. Llama 3.1 writes JSON
// between <function=NAME> and </function>.

import type { ConstraintSpec } from '../../generate/guided/spec.ts';
import { readTaggedFunction } from '../call-tags.ts';
import type { CallFormat } from '../format.ts';
import type { Tool } from '../messages.ts';
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
      ...parameterSpecs(tool),
      { kind: 'literal', text: '</function>\n</tool_call>' },
    ],
  }),
  *read(reader, calls, opener) {
    if (opener === '<tool_call>') return yield* hermes.read(reader, calls, opener);
    return yield* readTaggedFunction(reader, calls);
  },
};

/** Parameters in the order of the schema, those that are not required left out or not. */
function parameterSpecs(tool: Tool): readonly ConstraintSpec[] {
  const {
    properties = {},
    required = [],
    $defs,
    definitions,
  } = (tool.function.parameters ?? {}) as {
    properties?: Record<string, Record<string, unknown>>;
    required?: readonly string[];
    $defs?: object;
    definitions?: object;
  };
  return Object.entries(properties).map(([key, schema]) => {
    const isText = schema.type === 'string' && schema.enum === undefined && schema.const === undefined;
    const value: ConstraintSpec = isText
      ? textSpec(schema)
      : valueSpec(schema, { ...($defs && { $defs }), ...(definitions && { definitions }) });
    const part: ConstraintSpec = {
      kind: 'sequence',
      parts: [
        { kind: 'literal', text: `<parameter=${key}>\n` },
        value,
        { kind: 'literal', text: '\n</parameter>\n' },
      ],
    };
    return required.includes(key) ? part : { kind: 'repeat', part, max: 1 };
  });
}

/** A text, free or by its schema. */
function textSpec(schema: Readonly<Record<string, unknown>>): ConstraintSpec {
  const bound = ['pattern', 'format', 'minLength', 'maxLength'].some(
    (keyword) => schema[keyword] !== undefined,
  );
  return bound
    ? { kind: 'string_schema', schema }
    : { kind: 'text', without: ['</parameter>', '</function>'] };
}

/** A value that is not free text. Texts among given values stand without quotes. */
function valueSpec(schema: Readonly<Record<string, unknown>>, definitions: object): ConstraintSpec {
  const given = 'const' in schema ? [schema.const] : (schema.enum as readonly unknown[] | undefined);
  if (given) {
    return { kind: 'choice', choices: given.map((x) => (typeof x === 'string' ? x : JSON.stringify(x))) };
  }
  return { kind: 'json_schema', schema: { ...definitions, ...schema } };
}
