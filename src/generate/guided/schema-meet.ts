// Shapes of two schemas as those of both, and as those of either. Where that would take too many shapes, some are left out: a
// grammar may be stricter than its schema, never wider.

import { fitsNumber, fitsString, patternMatches } from './schema-fits.ts';
import type { Goal, Goals } from './schema-goal.ts';
import {
  type ArrayShape,
  allShapes,
  type Clause,
  keyOfArray,
  keyOfClause,
  keyOfObject,
  type NumberShape,
  noShapes,
  type ObjectShape,
  type Shapes,
  type StringShape,
} from './schema-shape.ts';

/** Pairs looked at for one meeting, shapes of one type kept, and clauses, and parts of one, that alternatives may become. */
const maxPairs = 2048;
const maxShapes = 512;
const maxClauses = 16;
const maxParts = 8;

/** What meeting asks of whoever knows the schemas. */
export interface Knowledge {
  readonly goals: Goals;
  /** Whether it is seen at once that no value satisfies a goal. */
  isImpossible(goal: Goal): boolean;
  /** Too many shapes may not be left out, but become more than there are. */
  readonly isWide: boolean;
  /** Whether a text satisfies a goal, for names of properties. */
  allowsKey(goal: Goal, key: string): boolean;
}

export class Meeting {
  readonly #known: Knowledge;

  constructor(known: Knowledge) {
    this.#known = known;
  }

  both(a: Shapes, b: Shapes): Shapes {
    if (a === b) return a;
    if (this.#known.isWide && isLarge(a, b)) return a;
    return {
      null: a.null && b.null,
      booleans: a.booleans.filter((value) => b.booleans.includes(value)),
      numbers: pairs(a.numbers, b.numbers, bothNumbers, JSON.stringify),
      strings: pairs(a.strings, b.strings, bothStrings, JSON.stringify),
      arrays: pairs(a.arrays, b.arrays, (x, y) => this.#bothArrays(x, y), keyOfArray),
      objects: joinedClauses(pairs(a.objects, b.objects, (x, y) => this.#bothObjects(x, y), keyOfWhole)),
    };
  }

  either(...all: readonly Shapes[]): Shapes {
    const [first = noShapes] = all;
    const count = all.reduce((sum, { objects, arrays }) => sum + Math.max(objects.length, arrays.length), 0);
    if (this.#known.isWide && count > maxShapes) return allShapes(this.#known.goals);
    if (all.length < 2) return first;
    return {
      null: all.some((shapes) => shapes.null),
      booleans: [true, false].filter((value) => all.some(({ booleans }) => booleans.includes(value))),
      numbers: distinct(
        all.flatMap(({ numbers }) => numbers),
        JSON.stringify,
      ),
      strings: distinct(
        all.flatMap(({ strings }) => strings),
        JSON.stringify,
      ),
      arrays: distinct(
        all.flatMap(({ arrays }) => arrays),
        keyOfArray,
      ),
      objects: joinedClauses(
        distinct(
          all.flatMap(({ objects }) => objects),
          keyOfWhole,
        ),
      ),
    };
  }

  #bothArrays(a: ArrayShape, b: ArrayShape): ArrayShape | undefined {
    const { goals } = this.#known;
    const length = Math.max(a.prefix.length, b.prefix.length);
    return this.array({
      prefix: Array.from({ length }, (_, i) => goals.all(a.prefix[i] ?? a.rest, b.prefix[i] ?? b.rest)),
      rest: goals.all(a.rest, b.rest),
      min: Math.max(a.min, b.min),
      max: Math.min(a.max, b.max),
      contains: [
        ...new Map(
          [...a.contains, ...b.contains].map((c) => [JSON.stringify([c.goal.key, c.min, c.max]), c]),
        ).values(),
      ],
      unique: a.unique || b.unique,
      evaluated: Math.max(a.evaluated, b.evaluated),
    });
  }

  /** Undefined when it is seen at once that there is no such array. */
  array(shape: ArrayShape): ArrayShape | undefined {
    const { prefix, rest, min } = shape;
    const end = prefix.findIndex((goal) => this.#known.isImpossible(goal));
    const most = end >= 0 ? end : this.#known.isImpossible(rest) ? prefix.length : shape.max;
    const max = Math.min(shape.max, most);
    if (max < min || shape.contains.some((c) => c.max < c.min || c.min > max)) return undefined;
    if (max === 0 && prefix.length > 0) return { ...shape, max, prefix: [] };
    return max === shape.max ? shape : { ...shape, max };
  }

  #bothObjects(a: ObjectShape, b: ObjectShape): ObjectShape | undefined {
    const { goals } = this.#known;
    const named = new Map(a.named);
    for (const [name, goal] of b.named) named.set(name, goals.all(named.get(name) ?? goals.always, goal));
    return this.object({
      named,
      patterns: distinct([...a.patterns, ...b.patterns], (x) => `${x.pattern}\0${x.goal.key}`),
      rests: distinct([...a.rests, ...b.rests], (x) =>
        JSON.stringify([[...x.names].sort(), x.patterns, x.goal.key]),
      ),
      keys: goals.all(a.keys, b.keys),
      clauses: a.clauses === b.clauses ? a.clauses : [...a.clauses, ...b.clauses],
      min: Math.max(a.min, b.min),
      max: Math.min(a.max, b.max),
      evaluated: {
        names: new Set([...a.evaluated.names, ...b.evaluated.names]),
        patterns: [...new Set([...a.evaluated.patterns, ...b.evaluated.patterns])],
        all: a.evaluated.all || b.evaluated.all,
      },
    });
  }

  /** Undefined when it is seen at once that there is no such object. */
  object(shape: ObjectShape): ObjectShape | undefined {
    const clauses = simplified(shape.clauses, (name) =>
      this.#known.isImpossible(this.propertyOf(shape, name)),
    );
    if (!clauses || shape.min > shape.max) return undefined;
    const required = clauses.filter(([first, second]) => !second && first?.there).length;
    return required > shape.max ? undefined : { ...shape, clauses };
  }

  /** What the value of a property must satisfy. */
  propertyOf(shape: ObjectShape, name: string): Goal {
    const { goals } = this.#known;
    if (!this.#known.allowsKey(shape.keys, name)) return goals.never;
    return goals.all(
      shape.named.get(name) ?? goals.always,
      ...shape.patterns.filter(({ pattern }) => patternMatches(pattern, name)).map(({ goal }) => goal),
      ...shape.rests
        .filter(
          ({ names, patterns }) =>
            !names.has(name) && !patterns.some((pattern) => patternMatches(pattern, name)),
        )
        .map(({ goal }) => goal),
    );
  }
}

/** Alternatives of both, when each has some: what has many of its own keeps them. */
const limitOf = (a: readonly unknown[], b: readonly unknown[]): number => Math.max(a.length, b.length, 64);

/** So many shapes that `both` would leave some out. */
const isLarge = (a: Shapes, b: Shapes): boolean =>
  (['numbers', 'strings', 'arrays', 'objects'] as const).some((type) => {
    const count = a[type].length * b[type].length;
    return count > Math.min(maxShapes, limitOf(a[type], b[type]));
  });

const keyOfWhole = (shape: ObjectShape): string =>
  `${keyOfObject(shape)}|${shape.clauses.map(keyOfClause).sort().join(';')}`;

function distinct<T>(all: readonly T[], key: (one: T) => string): readonly T[] {
  if (all.length < 2 || (all.length === 2 && all[0] !== all[1] && key(all[0] as T) !== key(all[1] as T)))
    return all;
  return [...new Map(all.map((one) => [key(one), one])).values()].slice(0, maxShapes);
}

function pairs<T>(
  as: readonly T[],
  bs: readonly T[],
  meet: (a: T, b: T) => T | undefined,
  key: (one: T) => string,
): readonly T[] {
  const found: T[] = [];
  let left = maxPairs;
  const limit = limitOf(as, bs);
  for (const a of as) {
    for (const b of bs) {
      if (left-- === 0 || found.length >= limit) return distinct(found, key);
      const met = a === b ? a : meet(a, b);
      if (met !== undefined) found.push(met);
    }
  }
  return distinct(found, key);
}

/** Joined again and again, clauses would double each time. */
function mayJoin(a: readonly Clause[], b: readonly Clause[]): boolean {
  const longest = (clauses: readonly Clause[]): number => Math.max(0, ...clauses.map(({ length }) => length));
  return a.length * b.length <= maxClauses && longest(a) + longest(b) <= maxParts;
}

/** Alternatives that differ in their clauses alone become one: either clause holds. */
function joinedClauses(shapes: readonly ObjectShape[]): readonly ObjectShape[] {
  if (shapes.length < 2) return shapes;
  const byKey = new Map<string, ObjectShape[]>();
  for (const shape of shapes) {
    const key = keyOfObject(shape);
    const same = byKey.get(key) ?? [];
    byKey.set(key, same);
    const at = same.findIndex((other) => mayJoin(other.clauses, shape.clauses));
    const other = same[at];
    if (!other) same.push(shape);
    else {
      const clauses = other.clauses.flatMap((x) => shape.clauses.map((y) => [...x, ...y]));
      const simple = simplified(clauses, () => false);
      if (simple) same[at] = { ...shape, clauses: simple };
    }
  }
  return [...byKey.values()].flat();
}

/** Without what is said twice or follows; undefined when the clauses contradict each other. */
function simplified(
  all: readonly Clause[],
  isImpossible: (name: string) => boolean,
): readonly Clause[] | undefined {
  if (all.length === 0) return all;
  const there = new Map<string, boolean>();
  let clauses = all;
  for (let before = -1; before !== there.size; ) {
    before = there.size;
    const kept = new Map<string, Clause>();
    for (const clause of clauses) {
      const open = clause.filter((p) => p.name === undefined || (there.get(p.name) ?? p.there) === p.there);
      const holds = clause.length > 1 && open.some((p) => p.name !== undefined && there.has(p.name));
      const always = open.some((p) =>
        open.some((q) => p.name !== undefined && q.name === p.name && q.there !== p.there),
      );
      if (holds || always) continue;
      const apart = [...new Map(open.map((p) => [keyOfClause([p]), p])).values()];
      const [only, second] = apart;
      if (!only) return undefined;
      if (!second && only.name !== undefined) {
        if (only.there && isImpossible(only.name)) return undefined;
        there.set(only.name, only.there);
      }
      kept.set(
        apart
          .map((p) => keyOfClause([p]))
          .sort()
          .join(),
        apart,
      );
    }
    clauses = [...kept.values()];
  }
  return clauses;
}

function bothNumbers(a: NumberShape, b: NumberShape): NumberShape | undefined {
  const shape: { -readonly [K in keyof NumberShape]: NumberShape[K] } = {
    multiples: [...new Set([...a.multiples, ...b.multiples])],
    notMultiples: [...new Set([...a.notMultiples, ...b.notMultiples])],
    notValues: [...new Set([...a.notValues, ...b.notValues])],
  };
  if (a.integer || b.integer) shape.integer = true;
  if (a.fraction || b.fraction) shape.fraction = true;
  for (const bound of ['minimum', 'exclusiveMinimum'] as const) {
    const value = Math.max(a[bound] ?? -Infinity, b[bound] ?? -Infinity);
    if (value > -Infinity) shape[bound] = value;
  }
  for (const bound of ['maximum', 'exclusiveMaximum'] as const) {
    const value = Math.min(a[bound] ?? Infinity, b[bound] ?? Infinity);
    if (value < Infinity) shape[bound] = value;
  }
  const values = common(a.values, b.values);
  if (values) shape.values = values.filter((value) => fitsNumber(value, shape));
  return hasNumber(shape) ? shape : undefined;
}

export function hasNumber(shape: NumberShape): boolean {
  if (shape.values) return shape.values.length > 0;
  const low = Math.max(shape.minimum ?? -Infinity, shape.exclusiveMinimum ?? -Infinity);
  const high = Math.min(shape.maximum ?? Infinity, shape.exclusiveMaximum ?? Infinity);
  if (low > high || (shape.integer && shape.fraction)) return false;
  return low < high || fitsNumber(low, shape);
}

function bothStrings(a: StringShape, b: StringShape): StringShape | undefined {
  const values = common(a.values, b.values);
  const shape: StringShape = {
    min: Math.max(a.min, b.min),
    max: Math.min(a.max, b.max),
    patterns: [...new Set([...a.patterns, ...b.patterns])],
    notPatterns: [...new Set([...a.notPatterns, ...b.notPatterns])],
    formats: [...new Set([...a.formats, ...b.formats])],
    notValues: [...new Set([...a.notValues, ...b.notValues])],
  };
  if (values) {
    const fitting = values.filter((value) => fitsString(value, shape));
    return fitting.length > 0 ? { ...shape, values: fitting } : undefined;
  }
  const excluded = shape.notPatterns.some((pattern) => shape.patterns.includes(pattern));
  return shape.min > shape.max || excluded ? undefined : shape;
}

function common<T>(a: readonly T[] | undefined, b: readonly T[] | undefined): readonly T[] | undefined {
  if (!a || !b) return a ?? b;
  const inB = new Set(b);
  return a.filter((value) => inB.has(value));
}
