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

export class Goals {
  readonly always: Goal = { key: '', literals: [], isNever: false };
  readonly never: Goal = { key: 'never', literals: [], isNever: true };
  readonly #literals = new Map<Schema, Literal>();
  readonly #goals = new Map<string, Goal>([['', this.always]]);
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
