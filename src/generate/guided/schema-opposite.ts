// The ways in which a value may fail what a schema says itself. What is not sure to fail is left out: formats, which some
// take for annotations, and what would need all of an object or array to be known.

import { each, type Work } from './patience.ts';
import type { Expander } from './schema-expand.ts';
import { numberAt, type Path, requiredNames, type Schema, typesOf } from './schema-keywords.ts';
import { dependentRequired, ofTypes, valuesByKind } from './schema-own.ts';
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
/** Places of a given array, and properties of a given object, in which others may differ from it. */
const maxPlaces = 24;
/** Properties of a given object that others may lack, or have one beside; of more, others have fewer or differ in one. */
const maxNames = 256;

/** Objects among the values of an `enum` that are left out one by one; of more, only larger ones are allowed. */
const maxRecords = 4;
/** Alternatives that are kept of all but given arrays or objects: a grammar follows all of them at once. */
const maxKept = 12;

export function* oppositeParts(expander: Expander, schema: Schema, path: Path): Work<readonly Shapes[]> {
  const parts = [
    ...oppositeTypes(expander, schema),
    { ...noShapes, numbers: oppositeNumbers(schema) },
    { ...noShapes, strings: oppositeStrings(schema) },
    { ...noShapes, arrays: oppositeArrays(expander, schema, path) },
    { ...noShapes, objects: oppositeObjects(expander, schema, path) },
  ];
  if ('const' in schema) parts.push(yield* otherValues(expander, [schema.const], path));
  if (schema.enum !== undefined) {
    parts.push(yield* otherValues(expander, schema.enum as readonly unknown[], path));
  }
  return parts;
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

/** All but some values. */
function* otherValues(expander: Expander, values: readonly unknown[], path: Path): Work<Shapes> {
  const { goals, patience } = expander;
  const { scalars, numbers, strings, lists, records } = yield* valuesByKind(values, patience);
  const others: Shapes = {
    null: !scalars.has(null),
    booleans: [true, false].filter((value) => !scalars.has(value)),
    numbers: [{ ...anyNumber, notValues: [...numbers] }],
    strings: [{ ...anyString, notValues: [...strings] }],
    arrays: yield* otherArrays(expander, lists, path),
    objects: [{ ...anyObject(goals), min: records.length > maxRecords ? largestOf(records) + 1 : 0 }],
    wholes: [],
  };
  return yield* withoutRecords(expander, others, records.slice(0, maxRecords), path);
}

const largestOf = (records: readonly Schema[]): number =>
  records.reduce((most, record) => Math.max(most, Object.keys(record).length), 0);

/** Arrays whose length none of the given ones has, and those that differ from each of their length at some place. */
function* otherArrays(
  expander: Expander,
  lists: readonly (readonly unknown[])[],
  path: Path,
): Work<readonly ArrayShape[]> {
  const { goals, patience } = expander;
  const any = anyArray(goals);
  const byLength = new Map<number, (readonly unknown[])[]>();
  yield* each(lists, patience, (list) => {
    const same = byLength.get(list.length);
    if (same) same.push(list);
    else byLength.set(list.length, [list]);
  });
  const found: ArrayShape[] = [];
  let next = 0;
  for (const length of [...byLength.keys()].sort((a, b) => a - b)) {
    if (length > next) found.push({ ...any, min: next, max: length - 1 });
    next = length + 1;
    for (const goalsOf of placesToDiffer(byLength.get(length) ?? [], length)) {
      if (patience.over) yield;
      const last = Math.max(...goalsOf.keys());
      const prefix = Array.from({ length: last + 1 }, (_, i) =>
        goals.all(...(goalsOf.get(i) ?? []).map((value) => goals.of({ const: value }, path, true))),
      );
      found.push({ ...any, prefix, min: length, max: length });
    }
  }
  return [{ ...any, min: next }, ...found].slice(0, lists.length > 1 ? maxKept : maxPlaces + 2);
}

/** Ways to differ from some lists of one length: what may not stand at some of their places. */
function placesToDiffer(
  lists: readonly (readonly unknown[])[],
  length: number,
): readonly ReadonlyMap<number, readonly unknown[]>[] {
  const places = Array.from({ length: Math.min(length, maxPlaces) }, (_, i) => i);
  // Where each may differ at a place of its own there are too many ways soon: then all differ at the same.
  if (lists.length > 1 && places.length ** lists.length > maxWays) {
    return places.map((i) => new Map([[i, lists.map((list) => list[i])]]));
  }
  return lists.reduce<readonly ReadonlyMap<number, readonly unknown[]>[]>(
    (ways, list) =>
      ways.flatMap((way) => places.map((i) => new Map(way).set(i, [...(way.get(i) ?? []), list[i]]))),
    [new Map()],
  );
}

function* withoutRecords(
  expander: Expander,
  all: Shapes,
  records: readonly Schema[],
  path: Path,
): Work<Shapes> {
  let others = all;
  for (const record of records) {
    const objects = yield* otherObjects(expander, record, path);
    const met = yield* expander.both(others, { ...allShapes(expander.goals), objects });
    others = { ...met, objects: met.objects.slice(0, maxKept) };
  }
  return others;
}

/** Objects that lack a property of a given one, have another, or differ from it in one. */
function* otherObjects(expander: Expander, given: Schema, path: Path): Work<readonly ObjectShape[]> {
  const { goals, patience } = expander;
  const any = anyObject(goals);
  const names = Object.keys(given);
  const found: ObjectShape[] = [];
  if (names.length > maxNames) found.push({ ...any, max: names.length - 1 });
  else {
    found.push({ ...any, clauses: [[{ name: undefined, others: names, there: true }]] });
    if (names.length > 0) found.push({ ...any, clauses: [names.map((name) => ({ name, there: false }))] });
  }
  yield* each(names.slice(0, maxPlaces), patience, (name) => {
    const named = new Map([[name, goals.of({ const: given[name] }, path, true)]]);
    found.push({ ...any, named, clauses: [[{ name, there: true }]] });
  });
  return found;
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
