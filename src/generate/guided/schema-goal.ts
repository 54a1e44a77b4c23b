// Goals: sets of schemas that a value must satisfy, or must not. Equal goals are one object, so that a schema that comes back
// to itself comes back to the goal it began with.

import { isSchema, type Path, type Schema } from './schema-keywords.ts';
import type { JsonSchema } from './spec.ts';

export interface Literal {
  readonly id: number;
  readonly schema: Schema;
  readonly path: Path;
  /** The value must not satisfy the schema. */
  readonly negated: boolean;
  readonly opposite: Literal;
}

export interface Goal {
  readonly key: string;
  /** All of them hold. */
  readonly literals: readonly Literal[];
  /** No value satisfies this one; others may turn out to have none, too. */
  readonly isNever: boolean;
}

/** Goals that become one. */
const maxOptions = 64;

export class Goals {
  readonly always: Goal = { key: '', literals: [], isNever: false };
  readonly never: Goal = { key: 'never', literals: [], isNever: true };
  readonly #literals = new Map<Schema, Literal>();
  readonly #goals = new Map<string, Goal>([['', this.always]]);
  /** Schemas that are said here, and what they are put together of. */
  readonly #made = new Set<Schema>();
  readonly #either = new Map<string, Goal>();
  readonly #options = new Map<Goal, readonly Goal[]>();
  #count = 0;

  /** The goal of a schema alone, or of its opposite. */
  of(schema: JsonSchema, path: Path, negated = false): Goal {
    if (typeof schema === 'boolean') return schema !== negated ? this.always : this.never;
    // The other way round would not do: what stands below two `not` says nothing for unevaluatedProperties.
    const { not, ...rest } = schema;
    if (!negated && (typeof not === 'boolean' || isSchema(not)) && Object.keys(rest).length === 0) {
      return this.of(not, `${path}/not`, true);
    }
    const literal = this.#literal(schema, path);
    return this.#goal([negated ? literal.opposite : literal]);
  }

  /** All of the goals. */
  all(...goals: readonly Goal[]): Goal {
    const [only, ...others] = goals.filter((goal) => goal !== this.always);
    if (!only) return this.always;
    if (goals.some((goal) => goal.isNever)) return this.never;
    if (others.length === 0) return only;
    const literals = new Map<number, Literal>();
    for (const goal of goals) for (const literal of goal.literals) literals.set(literal.id, literal);
    for (const literal of literals.values()) if (literals.has(literal.opposite.id)) return this.never;
    return this.#goal([...literals.values()].sort((a, b) => a.id - b.id));
  }

  /** Either of two goals; undefined where that would take a schema of a schema that was made here: there would be no end. */
  either(a: Goal, b: Goal): Goal | undefined {
    if (a === b || b.isNever || a === this.always) return a;
    if (a.isNever || b === this.always) return b;
    const options = [a, b].flatMap((goal) => this.#options.get(goal) ?? [goal]);
    const apart = [...new Set(options)].sort((x, y) => (x.key < y.key ? -1 : 1));
    if (apart.length > maxOptions || apart.some((goal) => this.#isMade(goal))) return undefined;
    const key = apart.map((goal) => goal.key).join('|');
    let made = this.#either.get(key);
    if (!made) {
      const schemaOf = ({ literals }: Goal): JsonSchema => ({
        allOf: literals.map(({ schema, negated }) => (negated ? { not: schema } : schema)),
      });
      const schema = { anyOf: apart.map(schemaOf) };
      this.#made.add(schema);
      made = this.of(schema, a.literals[0]?.path ?? '#');
      this.#either.set(key, made);
      this.#options.set(made, apart);
    }
    return made;
  }

  #isMade(goal: Goal): boolean {
    return goal.literals.some(({ schema }) => this.#made.has(schema));
  }

  #goal(literals: readonly Literal[]): Goal {
    const key = literals.map(({ id }) => id).join();
    let goal = this.#goals.get(key);
    if (!goal) {
      goal = { key, literals, isNever: false };
      this.#goals.set(key, goal);
    }
    return goal;
  }

  #literal(schema: Schema, path: Path): Literal {
    const known = this.#literals.get(schema);
    if (known) return known;
    const literal = { id: this.#count++, schema, path, negated: false } as { opposite: Literal } & Literal;
    literal.opposite = { id: this.#count++, schema, path, negated: true, opposite: literal };
    this.#literals.set(schema, literal);
    return literal;
  }
}
