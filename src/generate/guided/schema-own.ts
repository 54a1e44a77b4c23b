// What a schema says itself, without the schemas it is made of: its type, its values, and the keywords of each type.

import { mapped, type Work } from './patience.ts';
import type { Expander } from './schema-expand.ts';
import { numberFormats, stringFormats } from './schema-formats.ts';
import type { Goal } from './schema-goal.ts';
import { numberAt, type Path, requiredNames, type Schema, type Type, typesOf } from './schema-keywords.ts';
import { hasNumber } from './schema-meet.ts';
import {
  type ArrayShape,
  allShapes,
  anyArray,
  anyNumber,
  anyObject,
  anyString,
  type Clause,
  type NumberShape,
  noShapes,
  type ObjectShape,
  type Shapes,
  type StringShape,
} from './schema-shape.ts';
import type { JsonSchema } from './spec.ts';

const unbounded = Number.POSITIVE_INFINITY;

export function* ownShapes(expander: Expander, schema: Schema, path: Path): Work<Shapes> {
  const typed = ofTypes(allShapes(expander.goals), typesOf(schema));
  const shapes: Shapes = {
    ...typed,
    numbers: typed.numbers.map((shape) => ownNumber(schema, shape)).filter(hasNumber),
    strings: typed.strings.map((shape) => ownString(schema, shape)).filter(({ min, max }) => min <= max),
    arrays: yield* mapped(typed.arrays, () => expander.meeting.array(ownArray(expander, schema, path))),
    objects: yield* mapped(typed.objects, () => expander.meeting.object(ownObject(expander, schema, path))),
  };
  let result = shapes;
  if ('const' in schema)
    result = yield* expander.both(result, givenShapes(expander, [schema.const], `${path}/const`));
  if (schema.enum !== undefined) {
    const given = givenShapes(expander, schema.enum as readonly unknown[], `${path}/enum`);
    result = yield* expander.both(result, given);
  }
  return result;
}

export function ofTypes(shapes: Shapes, types: readonly Type[] | undefined): Shapes {
  if (!types) return shapes;
  const integer = types.includes('integer') && !types.includes('number');
  return {
    null: types.includes('null'),
    booleans: types.includes('boolean') ? shapes.booleans : [],
    numbers: integer ? [{ ...anyNumber, integer }] : types.includes('number') ? shapes.numbers : [],
    strings: types.includes('string') ? shapes.strings : [],
    arrays: types.includes('array') ? shapes.arrays : [],
    objects: types.includes('object') ? shapes.objects : [],
  };
}

function ownNumber(schema: Schema, shape: NumberShape): NumberShape {
  const format = numberFormats[String(schema.format)] ?? {};
  const given = { ...shape, ...format };
  const result: { -readonly [K in keyof NumberShape]: NumberShape[K] } = given;
  for (const [bound, exclusive] of [
    ['minimum', 'exclusiveMinimum'],
    ['maximum', 'exclusiveMaximum'],
  ] as const) {
    const value = numberAt(schema, bound);
    // Draft 4 says with true that the bound itself is left out.
    if (value !== undefined) result[schema[exclusive] === true ? exclusive : bound] = value;
    if (typeof schema[exclusive] === 'number') result[exclusive] = schema[exclusive];
  }
  const step = numberAt(schema, 'multipleOf');
  return step === undefined ? result : { ...result, multiples: [step] };
}

function ownString(schema: Schema, shape: StringShape): StringShape {
  const format = typeof schema.format === 'string' && stringFormats[schema.format] ? [schema.format] : [];
  return {
    ...shape,
    min: numberAt(schema, 'minLength') ?? 0,
    max: numberAt(schema, 'maxLength') ?? unbounded,
    patterns: schema.pattern === undefined ? [] : [String(schema.pattern)],
    formats: format,
  };
}

function ownArray(expander: Expander, schema: Schema, path: Path): ArrayShape {
  const isTuple = Array.isArray(schema.items);
  const further = isTuple ? schema.additionalItems : schema.items;
  const prefix = isTuple ? schema.items : schema.prefixItems;
  const at = isTuple ? `${path}/items` : `${path}/prefixItems`;
  const contains = schema.contains === undefined ? [] : [ownContains(expander, schema, path)];
  return {
    prefix: expander.list(prefix, at),
    rest: expander.goal(further ?? true, `${path}/${isTuple ? 'additionalItems' : 'items'}`),
    min: numberAt(schema, 'minItems') ?? 0,
    max: numberAt(schema, 'maxItems') ?? unbounded,
    contains,
    unique: schema.uniqueItems === true,
    evaluated: further === undefined ? ((prefix ?? []) as readonly unknown[]).length : unbounded,
  };
}

function ownContains(expander: Expander, schema: Schema, path: Path) {
  return {
    goal: expander.goal(schema.contains, `${path}/contains`),
    min: numberAt(schema, 'minContains') ?? 1,
    max: numberAt(schema, 'maxContains') ?? unbounded,
  };
}

function ownObject(expander: Expander, schema: Schema, path: Path): ObjectShape {
  const entries = (keyword: string): readonly (readonly [string, Goal])[] =>
    Object.entries((schema[keyword] ?? {}) as Readonly<Record<string, JsonSchema>>).map(([key, value]) => [
      key,
      expander.goal(value, `${path}/${keyword}/${key.replaceAll('~', '~0').replaceAll('/', '~1')}`),
    ]);
  const named = new Map(entries('properties'));
  const patterns = entries('patternProperties').map(([pattern, goal]) => ({ pattern, goal }));
  const further = schema.additionalProperties;
  const names = new Set(named.keys());
  const matching = patterns.map(({ pattern }) => pattern);
  const rest = expander.goal(further ?? true, `${path}/additionalProperties`);
  return {
    named,
    patterns,
    rests: further === undefined || further === true ? [] : [{ names, patterns: matching, goal: rest }],
    keys: expander.goal(schema.propertyNames ?? true, `${path}/propertyNames`),
    clauses: ownClauses(schema),
    min: numberAt(schema, 'minProperties') ?? 0,
    max: numberAt(schema, 'maxProperties') ?? unbounded,
    evaluated: { names, patterns: matching, all: further !== undefined },
  };
}

function ownClauses(schema: Schema): readonly Clause[] {
  return [
    ...requiredNames(schema).map((name) => [{ name, there: true }]),
    ...dependentRequired(schema).flatMap(([name, needed]) =>
      needed.map((other) => [
        { name, there: false },
        { name: other, there: true },
      ]),
    ),
  ];
}

export function dependentRequired(schema: Schema): readonly (readonly [string, readonly string[]])[] {
  return [schema.dependentRequired, schema.dependencies].flatMap((given) =>
    Object.entries((given ?? {}) as Readonly<Record<string, unknown>>).filter(
      (entry): entry is [string, string[]] => Array.isArray(entry[1]),
    ),
  );
}

/** Some given values. */
export function givenShapes(expander: Expander, values: readonly unknown[], path: Path): Shapes {
  const { goals } = expander;
  const numbers = [...new Set(values.filter((value) => typeof value === 'number'))];
  const strings = [...new Set(values.filter((value) => typeof value === 'string'))];
  const constant = (value: unknown): Goal => goals.of({ const: value }, path);
  const nested = values.filter((value) => typeof value === 'object' && value !== null);
  return {
    ...noShapes,
    null: values.includes(null),
    booleans: [true, false].filter((value) => values.includes(value)),
    numbers: numbers.length > 0 ? [{ ...anyNumber, values: numbers }] : [],
    strings: strings.length > 0 ? [{ ...anyString, values: strings }] : [],
    arrays: nested
      .filter((value) => Array.isArray(value))
      .map((items) => ({
        ...anyArray(goals),
        prefix: items.map(constant),
        rest: goals.never,
        min: items.length,
        max: items.length,
      })),
    objects: nested
      .filter((value) => !Array.isArray(value))
      .map((value) => ({
        ...anyObject(goals),
        named: new Map(Object.entries(value).map(([name, inner]) => [name, constant(inner)])),
        rests: [{ names: new Set(Object.keys(value)), patterns: [], goal: goals.never }],
        clauses: Object.keys(value).map((name) => [{ name, there: true }]),
      })),
  };
}
