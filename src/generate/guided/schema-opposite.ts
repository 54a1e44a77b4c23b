// The ways in which a value may fail what a schema says itself. What is not sure to fail is left out: formats, which some
// take for annotations, and what would need all of an object or array to be known.

import type { Expander } from './schema-expand.ts';
import { numberAt, type Path, requiredNames, type Schema, typesOf } from './schema-keywords.ts';
import { dependentRequired, ofTypes } from './schema-own.ts';
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

/** Ways in which an object may fail a schema, at most: each is an alternative of all that holds besides. */
const maxWays = 12;

export function oppositeParts(expander: Expander, schema: Schema, path: Path): readonly Shapes[] {
  return [
    ...oppositeTypes(expander, schema),
    ...('const' in schema ? [otherValues(expander, [schema.const])] : []),
    ...(schema.enum === undefined ? [] : [otherValues(expander, schema.enum as readonly unknown[])]),
    { ...noShapes, numbers: oppositeNumbers(schema) },
    { ...noShapes, strings: oppositeStrings(schema) },
    { ...noShapes, arrays: oppositeArrays(expander, schema, path) },
    { ...noShapes, objects: oppositeObjects(expander, schema, path) },
  ];
}

function oppositeTypes({ goals }: Expander, schema: Schema): readonly Shapes[] {
  const types = typesOf(schema);
  if (!types) return [];
  const others = (['null', 'boolean', 'string', 'array', 'object'] as const).filter(
    (t) => !types.includes(t),
  );
  const shapes = ofTypes(allShapes(goals), others);
  if (types.includes('number')) return [shapes];
  return [{ ...shapes, numbers: [types.includes('integer') ? { ...anyNumber, fraction: true } : anyNumber] }];
}

/** All but some values. Arrays and objects beside given ones are those that are larger. */
function otherValues({ goals }: Expander, values: readonly unknown[]): Shapes {
  const nested = values.filter((value) => typeof value === 'object' && value !== null);
  const sizes = (all: readonly object[]): number =>
    Math.max(-1, ...all.map((x) => Object.keys(x).length)) + 1;
  const lists = nested.filter((value) => Array.isArray(value));
  const records = nested.filter((value) => !Array.isArray(value));
  return {
    null: !values.includes(null),
    booleans: [true, false].filter((value) => !values.includes(value)),
    numbers: [{ ...anyNumber, notValues: values.filter((value) => typeof value === 'number') }],
    strings: [{ ...anyString, notValues: values.filter((value) => typeof value === 'string') }],
    arrays: [{ ...anyArray(goals), min: sizes(lists) }],
    objects: [{ ...anyObject(goals), min: sizes(records) }],
  };
}

function oppositeNumbers(schema: Schema): readonly NumberShape[] {
  const found: NumberShape[] = [];
  const { minimum, maximum, exclusiveMinimum, exclusiveMaximum } = schema;
  if (typeof minimum === 'number') {
    found.push({ ...anyNumber, [exclusiveMinimum === true ? 'maximum' : 'exclusiveMaximum']: minimum });
  }
  if (typeof maximum === 'number') {
    found.push({ ...anyNumber, [exclusiveMaximum === true ? 'minimum' : 'exclusiveMinimum']: maximum });
  }
  if (typeof exclusiveMinimum === 'number') found.push({ ...anyNumber, maximum: exclusiveMinimum });
  if (typeof exclusiveMaximum === 'number') found.push({ ...anyNumber, minimum: exclusiveMaximum });
  const step = numberAt(schema, 'multipleOf');
  if (step !== undefined) found.push({ ...anyNumber, notMultiples: [step] });
  return found;
}

function oppositeStrings(schema: Schema): readonly StringShape[] {
  const found: StringShape[] = [];
  const min = numberAt(schema, 'minLength') ?? 0;
  const max = numberAt(schema, 'maxLength');
  if (min > 0) found.push({ ...anyString, max: min - 1 });
  if (max !== undefined) found.push({ ...anyString, min: max + 1 });
  if (schema.pattern !== undefined) found.push({ ...anyString, notPatterns: [String(schema.pattern)] });
  return found;
}

function oppositeArrays(expander: Expander, schema: Schema, path: Path): readonly ArrayShape[] {
  const any = anyArray(expander.goals);
  const found: ArrayShape[] = [];
  const min = numberAt(schema, 'minItems') ?? 0;
  const max = numberAt(schema, 'maxItems');
  if (min > 0) found.push({ ...any, max: min - 1 });
  if (max !== undefined) found.push({ ...any, min: max + 1 });
  const isTuple = Array.isArray(schema.items);
  const prefix = ((isTuple ? schema.items : schema.prefixItems) ?? []) as readonly JsonSchema[];
  prefix.forEach((item, i) => {
    const before = Array.from({ length: i }, () => expander.goals.always);
    const fails = expander.goal(item, `${path}/prefixItems/${i}`, true);
    if (!fails.isNever) found.push({ ...any, prefix: [...before, fails], min: i + 1 });
  });
  const items = isTuple ? schema.additionalItems : schema.items;
  if (items === false) found.push({ ...any, min: prefix.length + 1 });
  else if (items !== undefined && items !== true) {
    const goal = expander.goal(items, `${path}/items`, true);
    if (prefix.length === 0) found.push({ ...any, contains: [{ goal, min: 1, max: any.max }] });
    else {
      const before = Array.from({ length: prefix.length }, () => expander.goals.always);
      found.push({ ...any, prefix: [...before, goal], min: prefix.length + 1 });
    }
  }
  if (schema.contains !== undefined) {
    const least = numberAt(schema, 'minContains') ?? 1;
    const most = numberAt(schema, 'maxContains');
    const goal = expander.goal(schema.contains, `${path}/contains`);
    if (least === 1) found.push({ ...any, rest: expander.goal(schema.contains, `${path}/contains`, true) });
    else if (least > 1) found.push({ ...any, contains: [{ goal, min: 0, max: least - 1 }] });
    if (most !== undefined) found.push({ ...any, contains: [{ goal, min: most + 1, max: any.max }] });
  }
  return found;
}

function oppositeObjects(expander: Expander, schema: Schema, path: Path): readonly ObjectShape[] {
  const any = anyObject(expander.goals);
  const withClauses = (...clauses: readonly Clause[]): ObjectShape => ({ ...any, clauses });
  const found: ObjectShape[] = [];
  const min = numberAt(schema, 'minProperties') ?? 0;
  const max = numberAt(schema, 'maxProperties');
  if (min > 0) found.push({ ...any, max: min - 1 });
  if (max !== undefined) found.push({ ...any, min: max + 1 });
  const required = requiredNames(schema);
  if (required.length > 0) found.push(withClauses(required.map((name) => ({ name, there: false }))));
  for (const [name, needed] of dependentRequired(schema)) {
    const missing = needed.map((other) => ({ name: other, there: false }));
    if (missing.length > 0) found.push(withClauses([{ name, there: true }], missing));
  }
  const properties = Object.entries((schema.properties ?? {}) as Readonly<Record<string, JsonSchema>>);
  if (schema.additionalProperties === false && schema.patternProperties === undefined) {
    found.push(withClauses([{ name: undefined, others: properties.map(([name]) => name), there: true }]));
  }
  for (const [name, value] of properties.sort(([, a], [, b]) => weightOf(a) - weightOf(b))) {
    const goal = expander.goal(value, `${path}/properties/${name}`, true);
    if (!goal.isNever) {
      found.push({ ...any, named: new Map([[name, goal]]), clauses: [[{ name, there: true }]] });
    }
  }
  return found.slice(0, maxWays);
}

/** What tells objects apart is most often a value or a type. */
function weightOf(schema: JsonSchema): number {
  if (typeof schema === 'boolean' || 'const' in schema || schema.enum !== undefined) return 0;
  return schema.type === undefined || schema.type === 'object' || schema.type === 'array' ? 2 : 1;
}
