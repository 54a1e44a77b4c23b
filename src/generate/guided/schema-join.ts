// Alternatives of objects that become one: those that differ in one property alone, or in which properties are there. Nothing
// is lost or gained by that, and what has many alternatives in many places would have more of them than can be followed.

import type { Patience, Work } from './patience.ts';
import type { Goal, Goals } from './schema-goal.ts';
import { type Clause, keyOfClause, keyOfObject, keyOfRest, type ObjectShape } from './schema-shape.ts';

/** Clauses, and parts of one, that alternatives may become. */
const maxClauses = 16;
const maxParts = 8;
/** Clauses between looks at the clock. */
const clausesPerLook = 128;
/** Alternatives of which every two are compared. */
const maxCompared = 128;

/** What tells objects apart. */
export const keyOfWhole = (shape: ObjectShape): string =>
  `${keyOfObject(shape)}|${keyOfClauses(shape.clauses)}`;

const keyOfClauses = (clauses: readonly Clause[]): string => clauses.map(keyOfClause).sort().join(';');

/** The same objects in fewer alternatives. */
export function* joined(
  shapes: readonly ObjectShape[],
  goals: Goals,
  patience: Patience,
): Work<readonly ObjectShape[]> {
  if (shapes.length < 2) return shapes;
  return yield* joinedClauses(
    shapes.length > maxCompared ? shapes : yield* joinedValues(shapes, goals, patience),
    patience,
  );
}

/** Those that differ in the value of one property become one that may have either. */
function* joinedValues(
  shapes: readonly ObjectShape[],
  goals: Goals,
  patience: Patience,
): Work<readonly ObjectShape[]> {
  const byKey = new Map<string, ObjectShape[]>();
  for (const shape of shapes) {
    const key = keyOfRest(shape);
    const same = byKey.get(key) ?? [];
    byKey.set(key, same);
    let whole = shape;
    for (let i = 0; i < same.length; ) {
      if (patience.over) yield;
      const one = eitherValue(same[i] ?? whole, whole, goals);
      if (one) {
        whole = one;
        same.splice(i, 1);
        i = 0; // what did not fit before may fit now
      } else i++;
    }
    same.push(whole);
  }
  return [...byKey.values()].flat();
}

/** One of two objects that differ in one property; undefined where they differ in more. */
function eitherValue(a: ObjectShape, b: ObjectShape, goals: Goals): ObjectShape | undefined {
  const name = onlyDifference(a, b, goals);
  if (name === undefined) return undefined;
  const [inA, inB] = [presenceOf(a, name), presenceOf(b, name)];
  const others = (shape: ObjectShape): readonly Clause[] =>
    shape.clauses.filter((clause) => !isAbout(clause, name));
  const clauses = others(a);
  if (keyOfClauses(clauses) !== keyOfClauses(others(b))) return undefined;
  const [ofA, ofB] = [a, b].map((shape) => shape.named.get(name) ?? goals.always) as [Goal, Goal];
  const goal = inA === false ? ofB : inB === false ? ofA : goals.either(ofA, ofB);
  if (goal === undefined) return undefined;
  const must = inA === true && inB === true;
  const never = inA === false && inB === false;
  const clause = must || never ? [[{ name, there: must }]] : [];
  return { ...a, named: new Map(a.named).set(name, goal), clauses: [...clauses, ...clause] };
}

/** The property whose values two objects differ in; undefined where there is none, or more than one. */
function onlyDifference(a: ObjectShape, b: ObjectShape, goals: Goals): string | undefined {
  let found: string | undefined;
  const differs = (name: string): boolean =>
    (a.named.get(name) ?? goals.always) !== (b.named.get(name) ?? goals.always);
  for (const { named } of [a, b]) {
    for (const name of named.keys()) {
      if (name === found || !differs(name)) continue;
      if (found !== undefined) return undefined;
      found = name;
    }
  }
  return found;
}

const isAbout = ([only, second]: Clause, name: string): boolean => !second && only?.name === name;

/** Whether a property must be there, or may not; undefined: as it likes. */
const presenceOf = ({ clauses }: ObjectShape, name: string): boolean | undefined =>
  clauses.find((clause) => isAbout(clause, name))?.[0]?.there;

/** Joined again and again, clauses would double each time. */
function mayJoin(a: readonly Clause[], b: readonly Clause[]): boolean {
  const longest = (clauses: readonly Clause[]): number => Math.max(0, ...clauses.map(({ length }) => length));
  return a.length * b.length <= maxClauses && longest(a) + longest(b) <= maxParts;
}

/** Alternatives that differ in their clauses alone become one: either clause holds. */
function* joinedClauses(shapes: readonly ObjectShape[], patience: Patience): Work<readonly ObjectShape[]> {
  const byKey = new Map<string, ObjectShape[]>();
  for (const shape of shapes) {
    const key = keyOfObject(shape);
    const same = byKey.get(key) ?? [];
    byKey.set(key, same);
    const at = same.findIndex((other) => mayJoin(other.clauses, shape.clauses));
    const other = same[at];
    const clauses = other?.clauses.flatMap((x) => shape.clauses.map((y) => [...x, ...y]));
    const simple = clauses && (yield* simplified(clauses, patience));
    if (patience.over) yield;
    if (simple) same[at] = { ...shape, clauses: simple.clauses };
    else same.push(shape);
  }
  return [...byKey.values()].flat();
}

export interface Simplified {
  readonly clauses: readonly Clause[];
  /** Properties that must be there, or may not. */
  readonly presence: ReadonlyMap<string, boolean>;
}

/** Without what is said twice or follows; undefined when the clauses contradict each other. */
export function* simplified(all: readonly Clause[], patience: Patience): Work<Simplified | undefined> {
  const there = new Map<string, boolean>();
  let [clauses, looked] = [all, 0];
  for (let before = -1; before !== there.size; ) {
    before = there.size;
    const kept = new Map<string, Clause>();
    for (const clause of clauses) {
      if (++looked % clausesPerLook === 0 && patience.over) yield;
      const open = clause.filter((p) => p.name === undefined || (there.get(p.name) ?? p.there) === p.there);
      const holds = clause.length > 1 && open.some((p) => p.name !== undefined && there.has(p.name));
      const absent = new Set(open.flatMap(({ name, there: must }) => (must ? [] : [name])));
      const always = open.some(({ name, there: must }) => must && name !== undefined && absent.has(name));
      if (holds || always) continue;
      const apart = [...new Map(open.map((p) => [keyOfClause([p]), p])).values()];
      const [only, second] = apart;
      if (!only) return undefined;
      if (!second && only.name !== undefined) there.set(only.name, only.there);
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
  return { clauses, presence: there };
}
