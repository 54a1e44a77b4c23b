// What schemas say of a value, by its type: a value is allowed when one of the shapes of its type allows it. What is said of
// the values inside of arrays and objects stays a goal.

import type { Goal, Goals } from './schema-goal.ts';
import type { Whole } from './schema-wholes.ts';

export interface Shapes {
  readonly null: boolean;
  readonly booleans: readonly boolean[];
  readonly numbers: readonly NumberShape[];
  readonly strings: readonly StringShape[];
  readonly arrays: readonly ArrayShape[];
  readonly objects: readonly ObjectShape[];
  /** Large given arrays and objects, beside those that the shapes allow. */
  readonly wholes: readonly Whole[];
}

export interface NumberShape {
  readonly integer?: boolean;
  readonly fraction?: boolean;
  readonly minimum?: number;
  readonly maximum?: number;
  readonly exclusiveMinimum?: number;
  readonly exclusiveMaximum?: number;
  readonly multiples: readonly number[];
  readonly notMultiples: readonly number[];
  /** These alone; all else that is said of them is as in `anyNumber`. */
  readonly values?: readonly number[];
  readonly notValues: readonly number[];
}

export interface StringShape {
  readonly min: number;
  readonly max: number;
  readonly patterns: readonly string[];
  readonly notPatterns: readonly string[];
  readonly formats: readonly string[];
  /** These alone; all else that is said of them is as in `anyString`. */
  readonly values?: readonly string[];
  readonly notValues: readonly string[];
}

export interface Contains {
  readonly goal: Goal;
  readonly min: number;
  readonly max: number;
}

export interface ArrayShape {
  readonly prefix: readonly Goal[];
  readonly rest: Goal;
  readonly min: number;
  readonly max: number;
  readonly contains: readonly Contains[];
  readonly unique: boolean;
  /** Items that the schema itself has spoken of, for `unevaluatedItems`. */
  readonly evaluated: number;
}

/** One of them holds: a property is there, or is not. */
export type Clause = readonly Presence[];
export interface Presence {
  /** Undefined: some property outside of `others`. */
  readonly name: string | undefined;
  readonly others?: readonly string[];
  readonly there: boolean;
}

export interface Rest {
  readonly names: ReadonlySet<string>;
  readonly patterns: readonly string[];
  /** Of the properties that are neither named nor match. */
  readonly goal: Goal;
}

export interface ObjectShape {
  readonly named: ReadonlyMap<string, Goal>;
  readonly patterns: readonly { readonly pattern: string; readonly goal: Goal }[];
  readonly rests: readonly Rest[];
  readonly keys: Goal;
  readonly clauses: readonly Clause[];
  readonly min: number;
  readonly max: number;
  /** Properties that the schema itself has spoken of, for `unevaluatedProperties`. */
  readonly evaluated: {
    readonly names: ReadonlySet<string>;
    readonly patterns: readonly string[];
    readonly all: boolean;
  };
}

export const anyNumber: NumberShape = { multiples: [], notMultiples: [], notValues: [] };
export const anyString: StringShape = {
  min: 0,
  max: Number.POSITIVE_INFINITY,
  patterns: [],
  notPatterns: [],
  formats: [],
  notValues: [],
};

export const anyArray = (goals: Goals): ArrayShape => ({
  prefix: [],
  rest: goals.always,
  min: 0,
  max: Number.POSITIVE_INFINITY,
  contains: [],
  unique: false,
  evaluated: 0,
});

export const nothingEvaluated: ObjectShape['evaluated'] = { names: new Set(), patterns: [], all: false };

export const anyObject = (goals: Goals): ObjectShape => ({
  named: new Map(),
  patterns: [],
  rests: [],
  keys: goals.always,
  clauses: [],
  min: 0,
  max: Number.POSITIVE_INFINITY,
  evaluated: nothingEvaluated,
});

export const noShapes: Shapes = {
  null: false,
  booleans: [],
  numbers: [],
  strings: [],
  arrays: [],
  objects: [],
  wholes: [],
};

export const allShapes = (goals: Goals): Shapes => ({
  null: true,
  booleans: [true, false],
  numbers: [anyNumber],
  strings: [anyString],
  arrays: [anyArray(goals)],
  objects: [anyObject(goals)],
  wholes: [],
});

/** Whether all arrays are of a shape, and `unevaluatedItems` hears nothing from it. */
export const isAnyArray = ({ prefix, rest, min, max, contains, unique, evaluated }: ArrayShape): boolean =>
  prefix.length + contains.length + min + evaluated === 0 &&
  max === Number.POSITIVE_INFINITY &&
  rest.literals.length === 0 &&
  !rest.isNever &&
  !unique;

/** The same of objects. */
export const isAnyObject = (shape: ObjectShape): boolean =>
  shape.named.size + shape.patterns.length + shape.rests.length + shape.clauses.length + shape.min === 0 &&
  shape.max === Number.POSITIVE_INFINITY &&
  shape.keys.literals.length === 0 &&
  !shape.keys.isNever &&
  shape.evaluated.names.size + shape.evaluated.patterns.length === 0 &&
  !shape.evaluated.all;

export const isEmpty = (shapes: Shapes): boolean =>
  !shapes.null &&
  shapes.booleans.length +
    shapes.numbers.length +
    shapes.strings.length +
    shapes.arrays.length +
    shapes.objects.length +
    shapes.wholes.length ===
    0;

const objectKeys = new WeakMap<ObjectShape, string>();

/** What tells shapes apart, but for the clauses of objects. */
export function keyOfObject(shape: ObjectShape): string {
  let key = objectKeys.get(shape);
  if (key === undefined) {
    key = makeKeyOfObject(shape);
    objectKeys.set(shape, key);
  }
  return key;
}

function makeKeyOfObject(shape: ObjectShape): string {
  const goals = [...shape.named].map(([name, goal]) => `${JSON.stringify(name)}:${goal.key}`).sort();
  return `${goals.join(';')}|${keyOfRest(shape)}`;
}

const restKeys = new WeakMap<ObjectShape, string>();

/** What tells them apart but for clauses and the values of named properties. */
export function keyOfRest(shape: ObjectShape): string {
  let key = restKeys.get(shape);
  if (key === undefined) {
    key = makeKeyOfRest(shape);
    restKeys.set(shape, key);
  }
  return key;
}

function makeKeyOfRest(shape: ObjectShape): string {
  const rests = shape.rests.map(
    ({ names, patterns, goal }) => `${JSON.stringify([[...names].sort(), patterns])}:${goal.key}`,
  );
  const { names, patterns, all } = shape.evaluated;
  const patterned = shape.patterns.map(({ pattern, goal }) => `${JSON.stringify(pattern)}:${goal.key}`);
  return [
    patterned.sort().join(';'),
    [...new Set(rests)].sort().join(';'),
    shape.keys.key,
    `${shape.min},${shape.max}`,
    all ? 'all' : JSON.stringify([[...names].sort(), patterns]),
  ].join('|');
}

export function keyOfArray(shape: ArrayShape): string {
  const contains = shape.contains.map(({ goal, min, max }) => `${goal.key}:${min},${max}`);
  return [
    shape.prefix.map(({ key }) => key).join(';'),
    shape.rest.key,
    `${shape.min},${shape.max},${shape.unique},${shape.evaluated}`,
    contains.join(';'),
  ].join('|');
}

export const keyOfClause = (clause: Clause): string =>
  clause.map(({ name, others, there }) => JSON.stringify([name ?? others ?? [], there])).join();
