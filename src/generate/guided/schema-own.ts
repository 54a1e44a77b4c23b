// What a schema says itself, without the schemas it is made of: its type, its values, and the keywords of each type.

import { each, eachMade, mapped, type Patience, type Work } from './patience.ts';
import type { Expander } from './schema-expand.ts';
import { numberFormats, stringFormats } from './schema-formats.ts';
import type { Goal } from './schema-goal.ts';
import {
  numberAt,
  type Path,
  requiredNames,
  type Schema,
  type Type,
  typesOf,
  unsupported,
} from './schema-keywords.ts';
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
import { sizeOf, type Whole } from './schema-wholes.ts';
import type { JsonSchema } from './spec.ts';

const unbounded = Number.POSITIVE_INFINITY;
/** Values in the arrays and objects of a `const` or an `enum` up to which each has a goal; larger ones are texts. */
const maxFollowed = 32;
/** Values of one that is met by other schemas, and what each of them counts. */
const maxOpened = 5000;
const stepsPerPart = 10;

export function* ownShapes(expander: Expander, schema: Schema, path: Path): Work<Shapes> {
  const typed = ofTypes(allShapes(expander.goals), typesOf(schema));
  const shapes: Shapes = {
    ...typed,
    numbers: typed.numbers.map((shape) => ownNumber(schema, shape)).filter(hasNumber),
    strings: typed.strings.map((shape) => ownString(schema, shape)).filter(({ min, max }) => min <= max),
    arrays: yield* mapped(typed.arrays, () => arrayOf(expander, schema, path)),
    objects: yield* mapped(typed.objects, () => objectOf(expander, schema, path)),
  };
  let result = shapes;
  if ('const' in schema)
    result = yield* expander.both(result, yield* givenShapes(expander, [schema.const], `${path}/const`));
  if (schema.enum !== undefined) {
    const given = yield* givenShapes(expander, schema.enum as readonly unknown[], `${path}/enum`);
    result = yield* expander.both(result, given);
  }
  return result;
}

/** Of all shapes, those of some types. */
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
    wholes: [],
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

function* arrayOf(expander: Expander, schema: Schema, path: Path): Work<ArrayShape | undefined> {
  return yield* expander.meeting.array(yield* ownArray(expander, schema, path));
}

function* ownArray(expander: Expander, schema: Schema, path: Path): Work<ArrayShape> {
  const isTuple = Array.isArray(schema.items);
  const further = isTuple ? schema.additionalItems : schema.items;
  const prefix = isTuple ? schema.items : schema.prefixItems;
  const at = isTuple ? `${path}/items` : `${path}/prefixItems`;
  const contains = schema.contains === undefined ? [] : [ownContains(expander, schema, path)];
  return {
    prefix: yield* expander.list(prefix, at),
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

function* objectOf(expander: Expander, schema: Schema, path: Path): Work<ObjectShape | undefined> {
  return yield* expander.meeting.object(yield* ownObject(expander, schema, path));
}

function* ownObject(expander: Expander, schema: Schema, path: Path): Work<ObjectShape> {
  const entries = function* (keyword: string): Work<ReadonlyMap<string, Goal>> {
    const given = (schema[keyword] ?? {}) as Readonly<Record<string, JsonSchema>>;
    const found = new Map<string, Goal>();
    yield* each(Object.keys(given), expander.patience, (key) => {
      const at = `${path}/${keyword}/${key.replaceAll('~', '~0').replaceAll('/', '~1')}`;
      found.set(key, expander.goal(given[key], at));
    });
    return found;
  };
  const named = yield* entries('properties');
  const patterns = [...(yield* entries('patternProperties'))].map(([pattern, goal]) => ({ pattern, goal }));
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

/** Values by what they are; null, true and false are scalars. */
interface ValuesByKind {
  readonly scalars: ReadonlySet<unknown>;
  readonly numbers: ReadonlySet<number>;
  readonly strings: ReadonlySet<string>;
  readonly lists: readonly unknown[][];
  readonly records: readonly Schema[];
}

export function* valuesByKind(values: readonly unknown[], patience: Patience): Work<ValuesByKind> {
  const [scalars, numbers, strings] = [new Set<unknown>(), new Set<number>(), new Set<string>()];
  const [lists, records]: [unknown[][], Schema[]] = [[], []];
  yield* each(values, patience, (value) => {
    if (typeof value === 'number') numbers.add(value);
    else if (typeof value === 'string') strings.add(value);
    else if (Array.isArray(value)) lists.push(value);
    else if (typeof value === 'object' && value !== null) records.push(value as Schema);
    else scalars.add(value);
  });
  return { scalars, numbers, strings, lists, records };
}

/** Some given values. */
export function* givenShapes(expander: Expander, values: readonly unknown[], path: Path): Work<Shapes> {
  const { patience } = expander;
  const { scalars, numbers, strings, lists, records } = yield* valuesByKind(values, patience);
  const wholes: Whole[] = [];
  let size = 0;
  for (const value of [...lists, ...records]) {
    const whole = { value, size: yield* sizeOf(value, patience), path };
    wholes.push(whole);
    size += whole.size;
  }
  const isLarge = size > maxFollowed;
  const arrays: ArrayShape[] = [];
  for (const list of isLarge ? [] : lists) arrays.push(yield* givenArray(expander, list, path));
  const objects: ObjectShape[] = [];
  for (const record of isLarge ? [] : records) objects.push(yield* givenObject(expander, record, path));
  return {
    wholes: isLarge ? wholes : [],
    null: scalars.has(null),
    booleans: [true, false].filter((value) => scalars.has(value)),
    numbers: numbers.size > 0 ? [{ ...anyNumber, values: [...numbers] }] : [],
    strings: strings.size > 0 ? [{ ...anyString, values: [...strings] }] : [],
    arrays,
    objects,
  };
}

/** Shapes of a large value, with a goal for each of its parts. */
export function* opened(expander: Expander, { value, size, path }: Whole): Work<Shapes> {
  if (size > maxOpened) {
    const at = path.lastIndexOf('/');
    const why = `has an array or object of more than ${maxOpened} values, and something else is said of their parts`;
    throw unsupported(path.slice(0, at), path.slice(at + 1), why);
  }
  expander.spend(size * stepsPerPart);
  return Array.isArray(value)
    ? { ...noShapes, arrays: [yield* givenArray(expander, value, path)] }
    : { ...noShapes, objects: [yield* givenObject(expander, value as Schema, path)] };
}

function* givenArray(expander: Expander, list: readonly unknown[], path: Path): Work<ArrayShape> {
  const { goals, patience } = expander;
  const prefix = yield* eachMade(list, patience, (value) => goals.of({ const: value }, path));
  if (patience.over) yield;
  return { ...anyArray(goals), prefix, rest: goals.never, min: list.length, max: list.length };
}

function* givenObject(expander: Expander, record: Schema, path: Path): Work<ObjectShape> {
  const { goals, patience } = expander;
  const names = Object.keys(record);
  const named = new Map<string, Goal>();
  yield* each(names, patience, (name) => named.set(name, goals.of({ const: record[name] }, path)));
  if (patience.over) yield;
  return {
    ...anyObject(goals),
    named,
    rests: [{ names: new Set(names), patterns: [], goal: goals.never }],
    clauses: names.map((name) => [{ name, there: true }]),
  };
}
