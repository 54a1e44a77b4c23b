// From goals to shapes: what a schema says of values of each type, and what its opposite does. Both leave values out where
// exactness cannot be had, so that nothing invalid is ever allowed.

import { IngotError } from '../../base/errors.ts';
import { asIs, eachMade, mapped, type Patience, type Work } from './patience.ts';
import type { SchemaDocument } from './schema-document.ts';
import { fitsString } from './schema-fits.ts';
import { type Goal, Goals, type Literal } from './schema-goal.ts';
import { checkKeywords, type Path, type Schema, unsupported, wrong } from './schema-keywords.ts';
import { Meeting } from './schema-meet.ts';
import { oppositeParts } from './schema-opposite.ts';
import { opened, ownShapes } from './schema-own.ts';
import {
  allShapes,
  isEmpty,
  noShapes,
  nothingEvaluated,
  type ObjectShape,
  type Shapes,
} from './schema-shape.ts';
import { rivalsOf } from './schema-tags.ts';
import { isList } from './schema-wholes.ts';
import type { JsonSchema } from './spec.ts';

/** Schemas that stand in each other deeper than this are a loop of references. */
const maxDepth = 300;
/** Meetings of two shapes that one document may take, larger ones counted more. */
const maxSteps = 500_000;
/** Alternatives kept where several meet several: fewer in what only looks, and in a document that has taken many steps. */
const maxCombinations = 512;
const fewCombinations = 24;
/** Properties of an alternative that are looked up in another. */
const maxForbidden = 32;
/** Alternatives of a `oneOf` that are looked at two by two for its opposite. */
const maxPaired = 5;

interface ExpanderOptions {
  readonly document: SchemaDocument;
  readonly strict: boolean;
  readonly patience: Patience;
  /** The one for which this says what there is at most: nothing that is valid is left out. */
  readonly widens?: Expander;
}

export class Expander {
  readonly goals = new Goals();
  readonly meeting: Meeting;
  readonly #document: SchemaDocument;
  readonly patience: Patience;
  readonly #strict: boolean;
  /** Allows no less than the schemas do, where what cannot be said exactly would have to be left out. */
  readonly isWide: boolean;
  #wide: Expander | undefined;
  readonly #literals = new Map<Literal, Shapes>();
  readonly #shapes = new Map<Goal, Shapes>();
  readonly #apart = new Map<string, boolean>();
  /** Being worked out: a schema that comes back to itself before it has said anything. */
  readonly #open = new Set<Literal>();
  readonly #looking = new Set<Goal>();
  /** Counts steps of work. Throws unsupported when there are too many. */
  readonly spend: (steps: number) => void;
  #steps = 0;
  #depth = 0;

  constructor({ document, strict, patience, widens }: ExpanderOptions) {
    const isWide = widens !== undefined;
    this.isWide = isWide;
    this.spend = widens ? (steps) => widens.spend(steps) : (steps) => this.#count(steps);
    this.#document = document;
    this.#strict = strict;
    this.patience = patience;
    const steps = (): number => this.#steps;
    this.meeting = new Meeting({
      goals: this.goals,
      patience,
      spend: this.spend,
      opened: (whole) => opened(this, whole),
      isImpossible: (goal) => this.#isImpossible(goal),
      allowsKey: (goal, key) => this.#allowsKey(goal, key),
      isWide,
      get combinations() {
        return isWide || steps() > maxSteps / 4 ? fewCombinations : maxCombinations;
      },
    });
  }

  #count(steps: number): void {
    this.#steps += steps;
    if (this.#steps > maxSteps) {
      throw new IngotError(
        'unsupported',
        `the schema takes more than ${maxSteps} steps to work out: it has too many alternatives that hold together; use fewer anyOf, oneOf and if in one place`,
      );
    }
  }

  /** The shapes of values that satisfy a goal. Yields where the patience is over. */
  *shapes(goal: Goal): Work<Shapes> {
    if (goal === this.goals.always) return allShapes(this.goals);
    const known = this.#shapes.get(goal);
    if (known) return known;
    if (this.patience.over) yield;
    const [first, ...others] = goal.literals;
    let made: Shapes = noShapes;
    if (!goal.isNever && first) {
      made = yield* this.#literal(first);
      for (const literal of others) made = yield* this.both(made, yield* this.#literal(literal));
    }
    this.#shapes.set(goal, made);
    return made;
  }

  *both(a: Shapes, b: Shapes): Work<Shapes> {
    return isEmpty(a) ? a : yield* this.meeting.both(a, b);
  }

  *either(...all: readonly Shapes[]): Work<Shapes> {
    return yield* this.meeting.either(...all);
  }

  *#all(goals: readonly Goal[]): Work<readonly Shapes[]> {
    const all: Shapes[] = [];
    for (const goal of goals) all.push(yield* this.shapes(goal));
    return all;
  }

  *#literal(literal: Literal): Work<Shapes> {
    const known = this.#literals.get(literal);
    if (known) return known;
    this.spend(1);
    const { schema, path, negated } = literal;
    if (this.#open.has(literal)) {
      throw wrong(path, '$ref', 'refers to itself without an object or array between');
    }
    if (++this.#depth > maxDepth) throw wrong(path, '$ref', `is nested deeper than ${maxDepth}`);
    this.#open.add(literal);
    try {
      checkKeywords(schema, path, this.#strict);
      const made = this.isWide
        ? yield* this.#wideShapes(literal)
        : negated
          ? silent(yield* this.#opposite(schema, path))
          : yield* this.#positive(schema, path);
      this.#literals.set(literal, made);
      return made;
    } finally {
      this.#open.delete(literal);
      this.#depth--;
    }
  }

  /** No less than a schema allows: without what would take opposites. */
  *#wideShapes({ schema, path, negated }: Literal): Work<Shapes> {
    if (negated) return allShapes(this.goals);
    const { format: _, multipleOf: __, ...rest } = schema;
    const references = this.#references(schema, path);
    // In old drafts nothing else counts beside a reference, and some validators count it.
    if (this.#document.isOld && references.length > 0)
      return yield* this.#bothOf(yield* this.#all(references));
    let shapes = yield* ownShapes(this, rest, path);
    const all = [...references, ...(yield* this.list(schema.allOf, `${path}/allOf`))];
    for (const goal of all) shapes = yield* this.both(shapes, yield* this.shapes(goal));
    for (const keyword of ['anyOf', 'oneOf']) {
      if (schema[keyword] === undefined) continue;
      const options = yield* this.#all(yield* this.list(schema[keyword], `${path}/${keyword}`));
      shapes = yield* this.both(shapes, yield* this.either(...options));
    }
    return shapes;
  }

  *#positive(schema: Schema, path: Path): Work<Shapes> {
    let shapes = yield* ownShapes(this, schema, path);
    const all = [...this.#references(schema, path), ...(yield* this.list(schema.allOf, `${path}/allOf`))];
    for (const goal of all) shapes = yield* this.both(shapes, yield* this.shapes(goal));
    if (schema.not !== undefined) {
      const fails = yield* this.shapes(this.goal(schema.not, `${path}/not`, true));
      shapes = fewer(yield* this.both(shapes, fails));
    }
    if (schema.anyOf !== undefined) {
      const met: Shapes[] = [];
      for (const goal of yield* this.list(schema.anyOf, `${path}/anyOf`))
        met.push(yield* this.both(shapes, yield* this.shapes(goal)));
      shapes = yield* this.either(...met);
    }
    if (schema.oneOf !== undefined) shapes = yield* this.#oneOf(schema, path, shapes);
    if (schema.if !== undefined) shapes = yield* this.#condition(schema, path, shapes);
    for (const [name, dependent] of dependentSchemas(schema)) {
      const then = yield* this.shapes(this.goal(dependent, `${path}/dependentSchemas`));
      const there = {
        ...this.#present(name, true),
        null: false,
        booleans: [],
        numbers: [],
        strings: [],
        arrays: [],
      };
      shapes = yield* this.either(
        yield* this.both(shapes, this.#present(name, false)),
        yield* this.both(yield* this.both(shapes, there), then),
      );
    }
    return yield* this.#unevaluated(schema, path, shapes);
  }

  /** Exactly one holds. Those that may both hold are told apart by the opposites of the others. */
  *#oneOf(schema: Schema, path: Path, base: Shapes): Work<Shapes> {
    const options = yield* this.list(schema.oneOf, `${path}/oneOf`);
    const met: Shapes[] = [];
    for (const goal of options) met.push(yield* this.both(base, yield* this.shapes(goal)));
    const alone: Shapes[] = [];
    const tagged = yield* eachMade(options, this.patience, (goal) => [...this.#allOf(goal)]);
    const rivals = yield* rivalsOf(tagged, this.patience);
    for (const [i, shapes] of met.entries()) {
      let left = shapes;
      for (const j of rivals[i] ?? []) {
        const other = options[j] ?? this.goals.never;
        if (isEmpty(left)) break;
        if (j === i || (yield* this.#areApart(options[i] ?? other, other))) continue;
        const failing = fewer(yield* this.both(left, yield* this.shapes(this.#not(other))));
        left = yield* this.either(failing, yield* this.#withForbidden(left, other));
      }
      alone.push(left);
    }
    const result = yield* this.either(...alone);
    if (isEmpty(result) && !met.every(isEmpty)) {
      throw unsupported(
        path,
        'oneOf',
        'has alternatives that may hold at once, and cannot be told apart: use anyOf, or a property with a const in each',
      );
    }
    return result;
  }

  /** The schema of a goal, and those that it refers to. */
  *#allOf({ literals: [literal, second] }: Goal, depth = 8): Generator<Schema, void, void> {
    if (!literal || second || literal.negated || depth === 0) return;
    const { schema, path } = literal;
    const references = this.#references(schema, path);
    if (references.length === 0 || !this.#document.isOld) yield schema;
    for (const goal of references) yield* this.#allOf(goal, depth - 1);
  }

  /** Those objects of `shapes` that have one of their named properties which `other` forbids: they fail it for sure. */
  *#withForbidden(shapes: Shapes, other: Goal): Work<Shapes> {
    const wide = this.#widened;
    const { objects } = yield* wide.shapes(wide.#own([other]));
    const withOne = function* (this: Expander, shape: ObjectShape): Work<ObjectShape | undefined> {
      const names: string[] = [];
      for (const name of [...shape.named.keys()].slice(0, maxForbidden)) {
        let isForbidden = true;
        for (const each of objects) isForbidden &&= (yield* wide.meeting.propertyOf(each, name)).isNever;
        if (isForbidden) names.push(name);
      }
      if (names.length === 0) return undefined;
      const clause = names.map((name) => ({ name, there: true }));
      return yield* this.meeting.object({ ...shape, clauses: [...shape.clauses, clause] });
    };
    return { ...noShapes, objects: yield* mapped(shapes.objects, (shape) => withOne.call(this, shape)) };
  }

  /** An expander that leaves nothing out. */
  get #widened(): Expander {
    this.#wide ??= new Expander({
      document: this.#document,
      strict: false,
      patience: this.patience,
      widens: this,
    });
    return this.#wide;
  }

  /** Goals of another expander, as one of this. */
  #own(others: readonly Goal[]): Goal {
    if (others.some(({ isNever }) => isNever)) return this.goals.never;
    const goals = others.flatMap(({ literals }) =>
      literals.map(({ schema, path, negated }) => this.goals.of(schema, path, negated)),
    );
    return this.goals.all(...goals);
  }

  /** Whether it is seen that no value satisfies both. What these shapes leave out might, so it is seen by wider ones. */
  *#areApart(a: Goal, b: Goal): Work<boolean> {
    const key = a.key < b.key ? `${a.key}|${b.key}` : `${b.key}|${a.key}`;
    const known = this.#apart.get(key);
    if (known !== undefined) return known;
    const apart = yield* this.#widened.#haveNothingInCommon([a, b]);
    this.#apart.set(key, apart);
    return apart;
  }

  /** Of goals of another expander. */
  *#haveNothingInCommon(others: readonly Goal[]): Work<boolean> {
    const both = this.#own(others);
    return both !== this.goals.always && (both.isNever || isEmpty(yield* this.shapes(both)));
  }

  *#condition(schema: Schema, path: Path, base: Shapes): Work<Shapes> {
    const condition = this.goal(schema.if as JsonSchema, `${path}/if`);
    const found: Shapes[] = [];
    for (const keyword of ['then', 'else'] as const) {
      const goal = keyword === 'then' ? condition : this.#not(condition);
      const consequence = this.goal(schema[keyword] ?? true, `${path}/${keyword}`);
      const met = yield* this.both(base, yield* this.shapes(goal));
      const then = yield* this.shapes(consequence);
      found.push(yield* this.both(keyword === 'then' ? met : fewer(met), then));
    }
    return yield* this.either(...found);
  }

  #not(goal: Goal): Goal {
    const [literal] = goal.literals;
    if (goal === this.goals.always) return this.goals.never;
    if (goal.isNever || !literal) return this.goals.always;
    return this.goals.of(literal.schema, literal.path, !literal.negated);
  }

  *#opposite(schema: Schema, path: Path): Work<Shapes> {
    const targets = yield* this.#all(this.#references(schema, path).map((goal) => this.#not(goal)));
    // In old drafts nothing else counts beside a reference, and some validators count it.
    if (this.#document.isOld && targets.length > 0) return yield* this.either(...targets);
    const opposites = function* (this: Expander, given: unknown, at: Path): Work<readonly Shapes[]> {
      return yield* this.#all((yield* this.list(given, at)).map((goal) => this.#not(goal)));
    }.bind(this);
    const parts = [...(yield* oppositeParts(this, schema, path)), ...targets];
    parts.push(...(yield* opposites(schema.allOf, `${path}/allOf`)));
    if (schema.not !== undefined) parts.push(yield* this.shapes(this.goal(schema.not, `${path}/not`)));
    if (schema.anyOf !== undefined) {
      parts.push(yield* this.#bothOf(yield* opposites(schema.anyOf, `${path}/anyOf`)));
    }
    if (schema.oneOf !== undefined) parts.push(...(yield* this.#notOne(schema.oneOf, path)));
    if (schema.if !== undefined) {
      const condition = this.goal(schema.if, `${path}/if`);
      for (const keyword of ['then', 'else']) {
        const goal = keyword === 'then' ? condition : this.#not(condition);
        const fails = this.goal(schema[keyword] ?? true, `${path}/${keyword}`, true);
        parts.push(yield* this.both(yield* this.shapes(goal), yield* this.shapes(fails)));
      }
    }
    for (const [name, dependent] of dependentSchemas(schema)) {
      const fails = yield* this.shapes(this.goal(dependent, `${path}/dependentSchemas`, true));
      parts.push(yield* this.both(onlyObjects(this.#present(name, true)), fails));
    }
    return yield* this.either(noShapes, ...parts);
  }

  /** All of some shapes, of which there is at least one. */
  *#bothOf([first = noShapes, ...others]: readonly Shapes[]): Work<Shapes> {
    let met = first;
    for (const other of others) met = yield* this.both(met, other);
    return met;
  }

  /** None holds, or two do. */
  *#notOne(given: unknown, path: Path): Work<readonly Shapes[]> {
    const options = yield* this.list(given, `${path}/oneOf`);
    const found = [yield* this.#bothOf(yield* this.#all(options.map((goal) => this.#not(goal))))];
    const some = options.slice(0, maxPaired);
    for (const [i, a] of some.entries()) {
      for (const b of some.slice(i + 1))
        found.push(yield* this.both(yield* this.shapes(a), yield* this.shapes(b)));
    }
    return found;
  }

  #references(schema: Schema, path: Path): readonly Goal[] {
    const found = [];
    if (typeof schema.$ref === 'string') found.push(this.#document.resolve(schema.$ref, schema, path));
    for (const key of ['$dynamicRef', '$recursiveRef']) {
      const reference = schema[key];
      if (typeof reference === 'string') found.push(this.#document.resolveDynamic(reference, schema, path));
    }
    return found.map((target) => this.goals.of(target.schema, target.path));
  }

  *#unevaluated(schema: Schema, path: Path, all: Shapes): Work<Shapes> {
    const isSaid = schema.unevaluatedProperties !== undefined || schema.unevaluatedItems !== undefined;
    const shapes = isSaid ? yield* this.meeting.opened(all) : all;
    let { objects, arrays } = shapes;
    if (schema.unevaluatedProperties !== undefined) {
      const goal = this.goal(schema.unevaluatedProperties, `${path}/unevaluatedProperties`);
      objects = yield* mapped(objects, (shape) =>
        shape.evaluated.all ? asIs(shape) : this.meeting.object(withRest(shape, goal)),
      );
    }
    if (schema.unevaluatedItems !== undefined) {
      const goal = this.goal(schema.unevaluatedItems, `${path}/unevaluatedItems`);
      arrays = yield* mapped(arrays, (shape) => {
        const length = Math.max(shape.prefix.length, Math.min(shape.evaluated, 10_000));
        if (shape.evaluated === Number.POSITIVE_INFINITY) return asIs(shape);
        const prefix = Array.from({ length }, (_, i) => {
          const said = shape.prefix[i] ?? shape.rest;
          return i < shape.evaluated ? said : this.goals.all(said, goal);
        });
        const rest = this.goals.all(shape.rest, goal);
        return this.meeting.array({ ...shape, prefix, rest, evaluated: Number.POSITIVE_INFINITY });
      });
    }
    return { ...shapes, objects, arrays };
  }

  /** Every value but objects that have the property, or have it not. */
  #present(name: string, there: boolean): Shapes {
    const all = allShapes(this.goals);
    return { ...all, objects: all.objects.map((shape) => ({ ...shape, clauses: [[{ name, there }]] })) };
  }

  goal(schema: unknown, path: Path, negated = false): Goal {
    return this.goals.of(schema as JsonSchema, path, negated);
  }

  *list(given: unknown, path: Path): Work<readonly Goal[]> {
    const all = (given ?? []) as readonly JsonSchema[];
    return yield* eachMade(all, this.patience, (schema, i) => this.goal(schema, `${path}/${i}`));
  }

  /** Schemas alone are taken to have values, so that looking ends; meetings and opposites may have none. */
  *#isImpossible(goal: Goal): Work<boolean> {
    if (goal.isNever) return true;
    const [only, second] = goal.literals;
    if (!only || (!second && !only.negated) || this.#looking.has(goal)) return false;
    this.#looking.add(goal);
    try {
      return isEmpty(yield* this.shapes(goal));
    } finally {
      this.#looking.delete(goal);
    }
  }

  *#allowsKey(goal: Goal, key: string): Work<boolean> {
    if (goal === this.goals.always) return true;
    return (yield* this.shapes(goal)).strings.some((shape) => fitsString(key, shape));
  }
}

export const onlyObjects = (shapes: Shapes): Shapes => ({
  ...shapes,
  null: false,
  booleans: [],
  numbers: [],
  strings: [],
  arrays: [],
  wholes: shapes.wholes.filter((whole) => !isList(whole)),
});

/**
 * Ways to fail a schema hold together more often than not, and a grammar follows all of them at once: nested, they would
 * become too many. Those that need no part of a value to fail a schema with parts of its own are enough where there are any.
 */
function fewer(shapes: Shapes): Shapes {
  const simplest = <T>(all: readonly T[], goals: (shape: T) => readonly Goal[]): readonly T[] => {
    if (all.length < 2) return all;
    const weighed = all.map((shape) => ({ shape, weight: weightOf(goals(shape)) }));
    const least = Math.min(...weighed.map(({ weight }) => weight));
    const simple = weighed.filter(({ weight }) => weight === least).map(({ shape }) => shape);
    return simple.slice(0, least === 0 ? maxSimpleWays : maxWays);
  };
  return {
    ...shapes,
    arrays: simplest(shapes.arrays, ({ prefix, rest, contains }) => [
      ...[...prefix, rest],
      ...contains.map(({ goal }) => goal),
    ]),
    objects: simplest(shapes.objects, ({ named, rests }) => [
      ...named.values(),
      ...rests.map(({ goal }) => goal),
    ]),
  };
}

const maxSimpleWays = 24;
const maxWays = 2;

/** How many schemas with parts must fail. */
const weightOf = (goals: readonly Goal[]): number =>
  goals.reduce(
    (sum, { literals }) => sum + literals.filter((each) => each.negated && hasParts(each.schema)).length,
    0,
  );

const hasParts = (schema: Schema): boolean => partial.some((keyword) => schema[keyword] !== undefined);
const partial = [
  ...['properties', 'items', 'prefixItems', 'additionalProperties', 'patternProperties', '$ref', 'allOf'],
  ...['anyOf', 'oneOf', 'not', 'if', 'contains', 'dependentSchemas', 'dependencies', 'required'],
];

/** What fails a schema has heard nothing from it, as unevaluatedProperties and unevaluatedItems ask. */
const silent = (shapes: Shapes): Shapes => ({
  ...shapes,
  arrays: shapes.arrays.map((shape) => ({ ...shape, evaluated: 0 })),
  objects: shapes.objects.map((shape) => ({ ...shape, evaluated: nothingEvaluated })),
});

function withRest(shape: ObjectShape, goal: Goal): ObjectShape {
  const { names, patterns } = shape.evaluated;
  return {
    ...shape,
    rests: [...shape.rests, { names, patterns, goal }],
    evaluated: { ...shape.evaluated, all: true },
  };
}

function dependentSchemas(schema: Schema): readonly (readonly [string, JsonSchema])[] {
  return [schema.dependentSchemas, schema.dependencies].flatMap((given) =>
    Object.entries((given ?? {}) as Readonly<Record<string, unknown>>)
      .filter(([, value]) => !Array.isArray(value))
      .map(([name, value]) => [name, value as JsonSchema] as const),
  );
}
