// Grammars of calls whose arguments are written one by one: with a tag for each, or as key=value in the words of Python.

import type { ConstraintSpec } from '../generate/guided/spec.ts';
import type { Tool } from './messages.ts';

type Schema = Readonly<Record<string, unknown>>;

interface Parameter {
  readonly key: string;
  /** With the definitions of the whole, which it may refer to. */
  readonly schema: Schema;
  /** A text that is written without quotes where a format writes texts so. */
  readonly isText: boolean;
  readonly required: boolean;
}

function parametersOf(tool: Tool): readonly Parameter[] {
  const {
    properties = {},
    required = [],
    $defs,
    definitions,
  } = (tool.function.parameters ?? {}) as {
    properties?: Record<string, Schema>;
    required?: readonly string[];
    $defs?: object;
    definitions?: object;
  };
  const shared = { ...($defs && { $defs }), ...(definitions && { definitions }) };
  return Object.entries(properties).map(([key, schema]) => ({
    key,
    schema: { ...shared, ...schema },
    isText: schema.type === 'string' && schema.enum === undefined && schema.const === undefined,
    required: required.includes(key),
  }));
}

/** What stands around an argument in a format of tags. */
export interface TagTexts {
  /** Before the value of an argument; `isText`: it is a text by its schema. */
  open(key: string, isText: boolean): string;
  readonly close: string;
  /** What a text cannot hold, as it would end the value. */
  readonly without: readonly string[];
}

/** Arguments in the order of the schema, those that are not required left out or not. */
export function taggedSpecs(tool: Tool, { open, close, without }: TagTexts): readonly ConstraintSpec[] {
  const tagged = (key: string, isText: boolean, value: ConstraintSpec): ConstraintSpec =>
    sequence(literal(open(key, isText)), value, literal(close));
  return parametersOf(tool).map(({ key, schema, isText, required }) => {
    const texts = givenOf(schema)?.filter((value) => typeof value === 'string');
    const others = givenOf(schema)?.filter((value) => typeof value !== 'string');
    const part: ConstraintSpec =
      texts && others
        ? anyOf([
            ...(texts.length > 0 ? [tagged(key, true, { kind: 'choice', choices: texts })] : []),
            ...(others.length > 0
              ? [
                  tagged(key, false, {
                    kind: 'choice',
                    choices: others.map((value) => JSON.stringify(value)),
                  }),
                ]
              : []),
          ])
        : tagged(key, isText, isText ? textSpec(schema, without) : { kind: 'json_schema', schema });
    return required ? part : optional(part);
  });
}

/** `key=value` after `key=value`: those that are required in the order of the schema, then the others. */
export function pythonSpecs(tool: Tool): readonly ConstraintSpec[] {
  const all = parametersOf(tool).map((parameter) => ({ ...parameter, spec: pythonSpec(parameter) }));
  const needed = all.filter(({ required }) => required).map(({ spec }) => spec);
  const free = all.filter(({ required }) => !required).map(({ spec }) => spec);
  const more = (specs: readonly ConstraintSpec[]): readonly ConstraintSpec[] =>
    specs.map((spec) => optional(sequence(literal(', '), spec)));
  const [first, ...rest] = needed;
  if (first) {
    return [first, ...rest.map((spec) => sequence(literal(', '), spec)), ...more(free)];
  }
  if (free.length === 0) return [];
  return [optional(anyOf(free.map((spec, i) => sequence(spec, ...more(free.slice(i + 1))))))];
}

/** Texts and numbers are those of JSON, which Python reads, too; the words for true and false are Python's. */
function pythonSpec({ key, schema }: Parameter): ConstraintSpec {
  const given = givenOf(schema);
  if (given?.some((value) => typeof value === 'boolean' || value === null) || schema.type === 'boolean') {
    const values = given ?? [true, false];
    return sequence(literal(`${key}=`), { kind: 'choice', choices: values.map(pythonWord) });
  }
  return sequence(literal(`${key}=`), { kind: 'json_schema', schema });
}

const pythonWord = (value: unknown): string =>
  value === null ? 'None' : typeof value === 'boolean' ? (value ? 'True' : 'False') : JSON.stringify(value);

const givenOf = (schema: Schema): readonly unknown[] | undefined =>
  'const' in schema ? [schema.const] : (schema.enum as readonly unknown[] | undefined);

/** A text, free or by its schema. */
function textSpec(schema: Schema, without: readonly string[]): ConstraintSpec {
  const bound = ['pattern', 'format', 'minLength', 'maxLength'].some(
    (keyword) => schema[keyword] !== undefined,
  );
  return bound ? { kind: 'string_schema', schema } : { kind: 'text', without };
}

const literal = (text: string): ConstraintSpec => ({ kind: 'literal', text });
const sequence = (...parts: readonly ConstraintSpec[]): ConstraintSpec => ({ kind: 'sequence', parts });
const optional = (part: ConstraintSpec): ConstraintSpec => ({ kind: 'repeat', part, max: 1 });
const anyOf = (options: readonly ConstraintSpec[]): ConstraintSpec =>
  options.length === 1 && options[0] ? options[0] : { kind: 'any_of', options };
