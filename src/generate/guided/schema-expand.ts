// From goals to shapes: what a schema says of values of each type, and what its opposite does. Both leave values out where
// exactness cannot be had, so that nothing invalid is ever allowed.

import { look, type Patience } from './patience.ts';
import type { SchemaDocument } from './schema-document.ts';
import { fitsString } from './schema-fits.ts';
import { type Goal, Goals, type Literal } from './schema-goal.ts';
import { checkKeywords, type Path, type Schema, unsupported, wrong } from './schema-keywords.ts';
import { Meeting } from './schema-meet.ts';
import { oppositeParts } from './schema-opposite.ts';
import { ownShapes } from './schema-own.ts';
import { allShapes, isEmpty, nothingEvaluated, type ObjectShape, type Shapes } from './schema-shape.ts';
import type { JsonSchema } from './spec.ts';

/** Schemas that stand in each other deeper than this are a loop of references. */
const maxDepth = 300;

export class Expander {
  readonly goals = new Goals();
  readonly meeting: Meeting;
  readonly #document: SchemaDocument;
  readonly #patience: Patience;
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
  #depth = 0;

  constructor(document: SchemaDocument, strict: boolean, patience: Patience, isWide = false) {
    this.isWide = isWide;
    this.#document = document;
    this.#strict = strict;
    this.#patience = patience;
    this.meeting = new Meeting({
      goals: this.goals,
      isImpossible: (goal) => this.#isImpossible(goal),
      allowsKey: (goal, key) => goal === this.goals.always || this.#allowsKey(goal, key),
      isWide,
    });
  }

  /** The shapes of values that satisfy a goal. Throws `paused` when the patience is over; the next call goes on from there. */
  shapes(goal: Goal): Shapes {
    if (goal === this.goals.always) return allShapes(this.goals);
    const known = this.#shapes.get(goal);
    if (known) return known;
    const [first, ...others] = goal.literals.map((literal) => this.#literal(literal));
    const made = goal.isNever || !first ? emptyShapes(this) : others.reduce((a, b) => this.both(a, b), first);
    this.#shapes.set(goal, made);
    look(this.#patience); // once it is kept, so that each slice gets further
    return made;
  }

  both(a: Shapes, b: Shapes): Shapes {
    return isEmpty(a) ? a : this.meeting.both(a, b);
  }

  either(...all: readonly Shapes[]): Shapes {
    return this.meeting.either(...all);
  }

  #literal(literal: Literal): Shapes {
    const known = this.#literals.get(literal);
    if (known) return known;
    const { schema, path, negated } = literal;
    if (this.#open.has(literal)) {
      throw wrong(path, '$ref', 'refers to itself without an object or array between');
    }
    if (++this.#depth > maxDepth) throw wrong(path, '$ref', `is nested deeper than ${maxDepth}`);
    this.#open.add(literal);
    try {
      checkKeywords(schema, path, this.#strict);
      const made = this.isWide
        ? this.#wideShapes(literal)
        : negated
          ? silent(this.#opposite(schema, path))
          : this.#positive(schema, path);
      this.#literals.set(literal, made);
      return made;
    } finally {
      this.#open.delete(literal);
      this.#depth--;
    }
  }

  /** No less than a schema allows: without what would take opposites. */
  #wideShapes({ schema, path, negated }: Literal): Shapes {
    if (negated) return allShapes(this.goals);
    const { format: _, multipleOf: __, ...rest } = schema;
    let shapes = ownShapes(this, rest, path);
    for (const target of this.#references(schema, path)) shapes = this.both(shapes, this.shapes(target));
    for (const goal of this.list(schema.allOf, `${path}/allOf`))
      shapes = this.both(shapes, this.shapes(goal));
    for (const keyword of ['anyOf', 'oneOf']) {
      if (schema[keyword] === undefined) continue;
      const options = this.list(schema[keyword], `${path}/${keyword}`).map((goal) => this.shapes(goal));
      shapes = this.both(shapes, this.either(...options));
    }
    return shapes;
  }

  #positive(schema: Schema, path: Path): Shapes {
    let shapes = ownShapes(this, schema, path);
    const add = (more: Shapes): void => {
      shapes = this.both(shapes, more);
    };
    for (const target of this.#references(schema, path)) add(this.shapes(target));
    for (const goal of this.list(schema.allOf, `${path}/allOf`)) add(this.shapes(goal));
    if (schema.not !== undefined) {
      shapes = fewer(this.both(shapes, this.shapes(this.goal(schema.not, `${path}/not`, true))));
    }
    if (schema.anyOf !== undefined) {
      const options = this.list(schema.anyOf, `${path}/anyOf`);
      shapes = this.either(...options.map((goal) => this.both(shapes, this.shapes(goal))));
    }
    if (schema.oneOf !== undefined) shapes = this.#oneOf(schema, path, shapes);
    if (schema.if !== undefined) shapes = this.#condition(schema, path, shapes);
    for (const [name, dependent] of dependentSchemas(schema)) {
      const then = this.shapes(this.goal(dependent, `${path}/dependentSchemas`));
      const there = {
        ...this.#present(name, true),
        null: false,
        booleans: [],
        numbers: [],
        strings: [],
        arrays: [],
      };
      shapes = this.either(
        this.both(shapes, this.#present(name, false)),
        this.both(this.both(shapes, there), then),
      );
    }
    return this.#unevaluated(schema, path, shapes);
  }

  /** Exactly one holds. Those that may both hold are told apart by the opposites of the others. */
  #oneOf(schema: Schema, path: Path, base: Shapes): Shapes {
    const options = this.list(schema.oneOf, `${path}/oneOf`);
    const met = options.map((goal) => this.both(base, this.shapes(goal)));
    const alone = met.map((shapes, i) => {
      let left = shapes;
      for (let j = 0; j < options.length && !isEmpty(left); j++) {
        const other = options[j] ?? this.goals.never;
        if (j === i || this.#areApart(options[i] ?? other, other)) continue;
        left = fewer(this.both(left, this.shapes(this.#not(other))));
      }
      return left;
    });
    const result = this.either(...alone);
    if (isEmpty(result) && !met.every(isEmpty)) {
      throw unsupported(
        path,
        'oneOf',
        'has alternatives that may hold at once, and cannot be told apart: use anyOf, or a property with a const in each',
      );
    }
    return result;
  }

  /** Whether it is seen that no value satisfies both. What these shapes leave out might, so it is seen by wider ones. */
  #areApart(a: Goal, b: Goal): boolean {
    const key = a.key < b.key ? `${a.key}|${b.key}` : `${b.key}|${a.key}`;
    const known = this.#apart.get(key);
    if (known !== undefined) return known;
    this.#wide ??= new Expander(this.#document, false, this.#patience, true);
    const apart = this.#wide.#haveNothingInCommon([a, b]);
    this.#apart.set(key, apart);
    look(this.#patience);
    return apart;
  }

  /** Of goals of another expander. */
  #haveNothingInCommon(others: readonly Goal[]): boolean {
    if (others.some(({ isNever }) => isNever)) return true;
    const goals = others.flatMap(({ literals }) =>
      literals.map(({ schema, path, negated }) => this.goals.of(schema, path, negated)),
    );
    const both = this.goals.all(...goals);
    return both !== this.goals.always && (both.isNever || isEmpty(this.shapes(both)));
  }

  #condition(schema: Schema, path: Path, base: Shapes): Shapes {
    const condition = this.goal(schema.if as JsonSchema, `${path}/if`);
    const branch = (goal: Goal, keyword: 'then' | 'else'): Shapes => {
      const then = this.goal((schema[keyword] ?? true) as JsonSchema, `${path}/${keyword}`);
      const met = this.both(base, this.shapes(goal));
      return this.both(keyword === 'then' ? met : fewer(met), this.shapes(then));
    };
    return this.either(branch(condition, 'then'), branch(this.#not(condition), 'else'));
  }

  #not(goal: Goal): Goal {
    const [literal] = goal.literals;
    if (goal === this.goals.always) return this.goals.never;
    if (goal.isNever || !literal) return this.goals.always;
    return this.goals.of(literal.schema, literal.path, !literal.negated);
  }

  #opposite(schema: Schema, path: Path): Shapes {
    const targets = this.#references(schema, path).map((goal) => this.shapes(this.#not(goal)));
    // In old drafts nothing else counts beside a reference, and some validators count it.
    if (this.#document.isOld && targets.length > 0) return this.either(...targets);
    const opposites = (given: unknown, at: Path): Shapes[] =>
      this.list(given, at).map((goal) => this.shapes(this.#not(goal)));
    const parts = [...oppositeParts(this, schema, path), ...targets];
    parts.push(...opposites(schema.allOf, `${path}/allOf`));
    if (schema.not !== undefined) parts.push(this.shapes(this.goal(schema.not, `${path}/not`)));
    if (schema.anyOf !== undefined) {
      parts.push(opposites(schema.anyOf, `${path}/anyOf`).reduce((a, b) => this.both(a, b)));
    }
    if (schema.oneOf !== undefined) parts.push(...this.#notOne(schema.oneOf, path));
    if (schema.if !== undefined) {
      const condition = this.goal(schema.if, `${path}/if`);
      const fails = (goal: Goal, keyword: string): Shapes =>
        this.both(
          this.shapes(goal),
          this.shapes(this.goal(schema[keyword] ?? true, `${path}/${keyword}`, true)),
        );
      parts.push(fails(condition, 'then'), fails(this.#not(condition), 'else'));
    }
    for (const [name, dependent] of dependentSchemas(schema)) {
      const fails = this.shapes(this.goal(dependent, `${path}/dependentSchemas`, true));
      parts.push(this.both(onlyObjects(this.#present(name, true)), fails));
    }
    return this.either(emptyShapes(this), ...parts);
  }

  /** None holds, or two do. */
  #notOne(given: unknown, path: Path): Shapes[] {
    const options = this.list(given, `${path}/oneOf`);
    const none = options.map((goal) => this.shapes(this.#not(goal))).reduce((a, b) => this.both(a, b));
    const two = options.flatMap((a, i) => options.slice(i + 1).map((b) => [a, b] as const));
    return [none, ...two.slice(0, 10).map(([a, b]) => this.both(this.shapes(a), this.shapes(b)))];
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

  #unevaluated(schema: Schema, path: Path, shapes: Shapes): Shapes {
    let { objects, arrays } = shapes;
    if (schema.unevaluatedProperties !== undefined) {
      const goal = this.goal(schema.unevaluatedProperties, `${path}/unevaluatedProperties`);
      objects = objects
        .map((shape) => (shape.evaluated.all ? shape : this.meeting.object(withRest(shape, goal))))
        .filter((shape) => shape !== undefined);
    }
    if (schema.unevaluatedItems !== undefined) {
      const goal = this.goal(schema.unevaluatedItems, `${path}/unevaluatedItems`);
      arrays = arrays
        .map((shape) => {
          const length = Math.max(shape.prefix.length, Math.min(shape.evaluated, 10_000));
          if (shape.evaluated === Number.POSITIVE_INFINITY) return shape;
          const prefix = Array.from({ length }, (_, i) => {
            const said = shape.prefix[i] ?? shape.rest;
            return i < shape.evaluated ? said : this.goals.all(said, goal);
          });
          const rest = this.goals.all(shape.rest, goal);
          return this.meeting.array({ ...shape, prefix, rest, evaluated: Number.POSITIVE_INFINITY });
        })
        .filter((shape) => shape !== undefined);
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

  list(given: unknown, path: Path): readonly Goal[] {
    return ((given ?? []) as readonly JsonSchema[]).map((schema, i) => this.goal(schema, `${path}/${i}`));
  }

  /** Schemas alone are taken to have values, so that looking ends; meetings and opposites may have none. */
  #isImpossible(goal: Goal): boolean {
    if (goal.isNever) return true;
    const [only, second] = goal.literals;
    if (!only || (!second && !only.negated) || this.#looking.has(goal)) return false;
    this.#looking.add(goal);
    try {
      return isEmpty(this.shapes(goal));
    } finally {
      this.#looking.delete(goal);
    }
  }

  #allowsKey(goal: Goal, key: string): boolean {
    return this.shapes(goal).strings.some((shape) => fitsString(key, shape));
  }
}

export const onlyObjects = (shapes: Shapes): Shapes => ({
  ...shapes,
  null: false,
  booleans: [],
  numbers: [],
  strings: [],
  arrays: [],
});

const emptyShapes = (_: Expander): Shapes => ({
  null: false,
  booleans: [],
  numbers: [],
  strings: [],
  arrays: [],
  objects: [],
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

const maxSimpleWays = 16;
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
