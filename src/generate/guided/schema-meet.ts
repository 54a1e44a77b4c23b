// Shapes of two schemas as those of both, and as those of either. Where that would take too many shapes, some are left out: a
// grammar may be stricter than its schema, never wider.

import { each, eachThat, type Patience, type Work } from './patience.ts';
import { fitsNumber, fitsString, patternMatches } from './schema-fits.ts';
import type { Goal, Goals } from './schema-goal.ts';
import { joined, keyOfWhole, simplified } from './schema-join.ts';
import {
  type ArrayShape,
  allShapes,
  anyNumber,
  anyString,
  isAnyArray,
  isAnyObject,
  keyOfArray,
  type NumberShape,
  noShapes,
  type ObjectShape,
  type Shapes,
  type StringShape,
} from './schema-shape.ts';
import { areEqual, isList, type Whole } from './schema-wholes.ts';

/** Pairs looked at for one meeting, and shapes of one type kept. */
const maxPairs = 2048;
const maxShapes = 512;
/** Given texts between looks at the clock. */
const valuesPerLook = 64;
/** Keys of shapes between looks at the clock. */
const keysPerLook = 8;
/** Names and clauses of two objects that meet, for each step that this is counted as. */
const sizePerStep = 8;

/** What meeting asks of whoever knows the schemas. */
export interface Knowledge {
  readonly goals: Goals;
  readonly patience: Patience;
  /** Counts steps of work. Throws unsupported when there are too many. */
  spend(steps: number): void;
  /** Alternatives of both that are kept when two that have several meet. */
  readonly combinations: number;
  /** Whether it is seen at once that no value satisfies a goal. */
  isImpossible(goal: Goal): Work<boolean>;
  /** Too many shapes may not be left out, but become more than there are. */
  readonly isWide: boolean;
  /** Shapes of a large value, part by part. */
  opened(whole: Whole): Work<Shapes>;
  /** Whether a text satisfies a goal, for names of properties. */
  allowsKey(goal: Goal, key: string): Work<boolean>;
}

export class Meeting {
  readonly #known: Knowledge;

  constructor(known: Knowledge) {
    this.#known = known;
  }

  *both(first: Shapes, second: Shapes): Work<Shapes> {
    if (first === second) return first;
    const a = yield* this.#apart(first, second);
    const b = yield* this.#apart(second, first);
    if (this.#known.isWide && this.#isLarge(a, b)) return a;
    const { goals } = this.#known;
    const numbers = yield* this.#pairs(
      a.numbers,
      b.numbers,
      (x, y) => bothNumbers(x, y, this.#known.patience),
      JSON.stringify,
    );
    const strings = yield* this.#pairs(
      a.strings,
      b.strings,
      (x, y) => this.#bothStrings(x, y),
      JSON.stringify,
    );
    const arrays = yield* this.#pairs(a.arrays, b.arrays, (x, y) => this.#bothArrays(x, y), keyOfArray);
    const met = yield* this.#pairs(a.objects, b.objects, (x, y) => this.#bothObjects(x, y), keyOfWhole);
    return {
      null: a.null && b.null,
      booleans: a.booleans.filter((value) => b.booleans.includes(value)),
      numbers,
      strings,
      arrays,
      objects: yield* joined(met, goals, this.#known.patience),
      wholes: yield* this.#distinctWholes([...a.wholes, ...b.wholes]),
    };
  }

  /** Shapes with those of their large values alone that others allow, and a shape for each that others look into. */
  *#apart(shapes: Shapes, others: Shapes): Work<Shapes> {
    if (shapes.wholes.length === 0) return shapes;
    const kept: Whole[] = [];
    const found: Shapes[] = [{ ...shapes, wholes: kept }];
    const [allArrays, allObjects] = [others.arrays.some(isAnyArray), others.objects.some(isAnyObject)];
    for (const whole of shapes.wholes) {
      const isSome = (isList(whole) ? others.arrays : others.objects).length > 0;
      const isAll = isList(whole) ? allArrays : allObjects;
      if (isAll || (isSome && this.#known.isWide) || (yield* this.#isAmong(whole, others.wholes))) {
        kept.push(whole);
      } else if (isSome) found.push(yield* this.#known.opened(whole));
    }
    return {
      ...shapes,
      arrays: found.flatMap(({ arrays }) => arrays),
      objects: found.flatMap(({ objects }) => objects),
      wholes: kept,
    };
  }

  *#isAmong(whole: Whole, all: readonly Whole[]): Work<boolean> {
    for (const other of all) {
      this.#known.spend(1);
      if (this.#known.patience.over) yield;
      if (yield* areEqual(whole, other, this.#known.patience)) return true;
    }
    return false;
  }

  *#distinctWholes(all: readonly Whole[]): Work<readonly Whole[]> {
    const byValue = new Map<object, Whole>();
    yield* each(all, this.#known.patience, (whole) => byValue.set(whole.value, whole));
    return [...byValue.values()];
  }

  /** The same with a shape for each large value. */
  *opened(shapes: Shapes): Work<Shapes> {
    if (shapes.wholes.length === 0) return shapes;
    const all = [{ ...shapes, wholes: [] }];
    for (const whole of shapes.wholes) all.push({ ...(yield* this.#known.opened(whole)), wholes: [] });
    return yield* this.either(...all);
  }

  *either(...all: readonly Shapes[]): Work<Shapes> {
    const [first = noShapes] = all;
    const count = all.reduce((sum, { objects, arrays }) => sum + Math.max(objects.length, arrays.length), 0);
    if (this.#known.isWide && count > maxShapes) return allShapes(this.#known.goals);
    if (all.length < 2) return first;
    const { patience } = this.#known;
    // As many as were given: these do not multiply.
    const most = Math.max(maxShapes, all.length);
    return {
      null: all.some((shapes) => shapes.null),
      booleans: [true, false].filter((value) => all.some(({ booleans }) => booleans.includes(value))),
      numbers: yield* withOneList(
        all.flatMap(({ numbers }) => numbers),
        patience,
      ),
      strings: yield* withOneList(
        all.flatMap(({ strings }) => strings),
        patience,
      ),
      arrays: yield* distinct(
        all.flatMap(({ arrays }) => arrays),
        keyOfArray,
        patience,
        most,
      ),
      objects: yield* joined(
        yield* distinct(
          all.flatMap(({ objects }) => objects),
          keyOfWhole,
          patience,
          most,
        ),
        this.#known.goals,
        patience,
      ),
      wholes: yield* this.#distinctWholes(all.flatMap(({ wholes }) => wholes)),
    };
  }

  *#pairs<T>(
    as: readonly T[],
    bs: readonly T[],
    meet: (a: T, b: T) => Work<T | undefined>,
    key: (one: T) => string,
  ): Work<readonly T[]> {
    const found: T[] = [];
    let left = maxPairs;
    const limit = this.#limitOf(as, bs);
    for (const a of as) {
      for (const b of bs) {
        if (left-- === 0 || found.length >= limit) return yield* distinct(found, key, this.#known.patience);
        if (this.#known.patience.over) yield;
        this.#known.spend(1);
        const met = a === b ? a : yield* meet(a, b);
        if (met !== undefined) found.push(met);
      }
    }
    return yield* distinct(found, key, this.#known.patience);
  }

  /** What has many alternatives of its own keeps them. */
  #limitOf(as: readonly unknown[], bs: readonly unknown[]): number {
    return Math.max(as.length, bs.length, this.#known.combinations);
  }

  /** So many shapes that `both` would leave some out. */
  #isLarge(a: Shapes, b: Shapes): boolean {
    return (['numbers', 'strings', 'arrays', 'objects'] as const).some((type) => {
      const count = a[type].length * b[type].length;
      return count > Math.min(maxShapes, this.#limitOf(a[type], b[type]));
    });
  }

  *#bothStrings(a: StringShape, b: StringShape): Work<StringShape | undefined> {
    this.#known.spend((a.notValues.length + b.notValues.length) / sizePerStep);
    const values = yield* common(a.values, b.values, this.#known.patience);
    const shape: StringShape = {
      min: Math.max(a.min, b.min),
      max: Math.min(a.max, b.max),
      patterns: [...new Set([...a.patterns, ...b.patterns])],
      notPatterns: [...new Set([...a.notPatterns, ...b.notPatterns])],
      formats: [...new Set([...a.formats, ...b.formats])],
      notValues: united(a.notValues, b.notValues),
    };
    if (values) {
      const fitting: string[] = [];
      for (const [i, value] of values.entries()) {
        if (i % valuesPerLook === 0 && this.#known.patience.over) yield;
        if (fitsString(value, shape)) fitting.push(value);
      }
      return fitting.length > 0 ? { ...anyString, values: fitting } : undefined;
    }
    const excluded = shape.notPatterns.some((pattern) => shape.patterns.includes(pattern));
    return shape.min > shape.max || excluded ? undefined : shape;
  }

  *#bothArrays(a: ArrayShape, b: ArrayShape): Work<ArrayShape | undefined> {
    const { goals } = this.#known;
    const length = Math.max(a.prefix.length, b.prefix.length);
    return yield* this.array({
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
  *array(shape: ArrayShape): Work<ArrayShape | undefined> {
    const { prefix, rest, min } = shape;
    const end = yield* this.#firstImpossible(prefix);
    const most = end >= 0 ? end : (yield* this.#known.isImpossible(rest)) ? prefix.length : shape.max;
    const max = Math.min(shape.max, most);
    if (max < min || shape.contains.some((c) => c.max < c.min || c.min > max)) return undefined;
    if (max === 0 && prefix.length > 0) return { ...shape, max, prefix: [] };
    return max === shape.max ? shape : { ...shape, max };
  }

  *#firstImpossible(goals: readonly Goal[]): Work<number> {
    for (const [i, goal] of goals.entries()) {
      if (i % valuesPerLook === 0 && this.#known.patience.over) yield;
      if (yield* this.#known.isImpossible(goal)) return i;
    }
    return -1;
  }

  *#bothObjects(a: ObjectShape, b: ObjectShape): Work<ObjectShape | undefined> {
    const { goals } = this.#known;
    this.#known.spend((a.named.size + b.named.size + a.clauses.length + b.clauses.length) / sizePerStep);
    const named = new Map(a.named);
    for (const [name, goal] of b.named) named.set(name, goals.all(named.get(name) ?? goals.always, goal));
    return yield* this.object({
      named,
      patterns: yield* distinct(
        [...a.patterns, ...b.patterns],
        (x) => `${x.pattern}\0${x.goal.key}`,
        this.#known.patience,
      ),
      rests: yield* distinct(
        [...a.rests, ...b.rests],
        (x) => JSON.stringify([[...x.names].sort(), x.patterns, x.goal.key]),
        this.#known.patience,
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
  *object(shape: ObjectShape): Work<ObjectShape | undefined> {
    const simple = yield* simplified(shape.clauses, this.#known.patience);
    if (!simple || shape.min > shape.max) return undefined;
    for (const [name, there] of simple.presence) {
      if (this.#known.patience.over) yield;
      if (there && (yield* this.#known.isImpossible(yield* this.propertyOf(shape, name)))) return undefined;
    }
    const { clauses } = simple;
    const required = clauses.filter(([first, second]) => !second && first?.there).length;
    return required > shape.max ? undefined : { ...shape, clauses };
  }

  /** What the value of a property must satisfy. */
  *propertyOf(shape: ObjectShape, name: string): Work<Goal> {
    const { goals } = this.#known;
    if (!(yield* this.#known.allowsKey(shape.keys, name))) return goals.never;
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

/** Alternatives of which those that are given values become one: what has thousands of constants is one list. */
function* withOneList<V, T extends { readonly values?: readonly V[] }>(
  all: readonly T[],
  patience: Patience,
): Work<readonly T[]> {
  const listed = all.filter(({ values }) => values !== undefined);
  const [first] = listed;
  if (!first || listed.length < 2) return yield* distinct(all, JSON.stringify, patience);
  const values = new Set<V>();
  yield* each(listed, patience, (shape) => {
    for (const value of shape.values ?? []) values.add(value);
  });
  const others = all.filter((shape) => shape.values === undefined);
  return [{ ...first, values: [...values] }, ...(yield* distinct(others, JSON.stringify, patience))];
}

function* distinct<T>(
  all: readonly T[],
  key: (one: T) => string,
  patience: Patience,
  most = maxShapes,
): Work<readonly T[]> {
  if (all.length < 2 || (all.length === 2 && all[0] !== all[1] && key(all[0] as T) !== key(all[1] as T)))
    return all;
  const byKey = new Map<string, T>();
  yield* each(all, patience, (one) => byKey.set(key(one), one), keysPerLook);
  return [...byKey.values()].slice(0, most);
}

function* bothNumbers(a: NumberShape, b: NumberShape, patience: Patience): Work<NumberShape | undefined> {
  const shape: { -readonly [K in keyof NumberShape]: NumberShape[K] } = {
    multiples: [...new Set([...a.multiples, ...b.multiples])],
    notMultiples: [...new Set([...a.notMultiples, ...b.notMultiples])],
    notValues: united(a.notValues, b.notValues),
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
  const both = yield* common(a.values, b.values, patience);
  const values = both && (yield* eachThat(both, patience, (value) => fitsNumber(value, shape)));
  if (values) return values.length > 0 ? { ...anyNumber, values } : undefined;
  return hasNumber(shape) ? shape : undefined;
}

export function hasNumber(shape: NumberShape): boolean {
  if (shape.values) return shape.values.length > 0;
  const low = Math.max(shape.minimum ?? -Infinity, shape.exclusiveMinimum ?? -Infinity);
  const high = Math.min(shape.maximum ?? Infinity, shape.exclusiveMaximum ?? Infinity);
  if (low > high || (shape.integer && shape.fraction)) return false;
  return low < high || fitsNumber(low, shape);
}

/** The values of two lists, each once: most often one of them has none. */
function united<T>(a: readonly T[], b: readonly T[]): readonly T[] {
  if (a.length === 0 || b.length === 0) return a.length === 0 ? b : a;
  return [...new Set([...a, ...b])];
}

function* common<T>(
  a: readonly T[] | undefined,
  b: readonly T[] | undefined,
  patience: Patience,
): Work<readonly T[] | undefined> {
  if (!a || !b) return a ?? b;
  const inB = new Set<T>();
  yield* each(b, patience, (value) => inB.add(value));
  return yield* eachThat(a, patience, (value) => inB.has(value));
}
