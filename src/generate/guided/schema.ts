// JSON Schema as a grammar: the texts of values that validate, and of no others. Properties come in any order. Rules are
// worked out one after another, so that long work can pause between them.

import { elementsText } from './elements.ts';
import {
  anyBoolean,
  anyInteger,
  anyNumber,
  anyValue,
  enclosedArray,
  enclosedObject,
  nullText,
} from './json-text.ts';
import type { MemberClause, MemberRules } from './member-rules.ts';
import { membersText } from './members.ts';
import { numberMachine } from './number.ts';
import { each, eachMade, eachThat, type Patience, type Work } from './patience.ts';
import type { SchemaDocument } from './schema-document.ts';
import { Expander } from './schema-expand.ts';
import { patternMatches } from './schema-fits.ts';
import type { Goal } from './schema-goal.ts';
import { unsupported } from './schema-keywords.ts';
import type { ArrayShape, NumberShape, ObjectShape, Shapes, StringShape } from './schema-shape.ts';
import { anyString as anyStringShape } from './schema-shape.ts';
import { wholesText } from './schema-wholes.ts';
import {
  canonicalString,
  canonicalText,
  isAnyString,
  stringContent,
  stringText,
  valuesText,
} from './strings.ts';
import { alt, call, machine, never, oneOf, type Rule, rule, type Shared, shared, type Term } from './term.ts';

/** Patterns of properties of which every combination is looked at; of more, those that match one alone, or none. */
const maxPatterns = 4;
/** Patterns of properties in one place: each is an alternative that all others are kept out of. */
const maxAllPatterns = 64;
/** Properties that must be there because of others: for each member all of them are looked at. */
const maxConditions = 256;
/** Shapes of objects that are followed as one, times their names. */
const maxTogether = 20_000;
/** Ways to be an element, where several kinds of them are counted. */
const maxKinds = 5;

export class SchemaReader {
  readonly #expander: Expander;
  readonly #strict: boolean;
  readonly #document: SchemaDocument;
  /** Rules by the goal they stand for, so that references may recur. */
  readonly #rules = new Map<Goal, { readonly rule: Rule; readonly text: Term }>();
  readonly #todo: Goal[] = [];
  readonly #patience: Patience;

  constructor(document: SchemaDocument, strict: boolean, patience: Patience) {
    this.#document = document;
    this.#strict = strict;
    this.#patience = patience;
    this.#expander = new Expander({ document, strict, patience });
  }

  /** Texts of the values that the document allows, once `read` has gone through. */
  get text(): Term {
    return this.#text(this.#root);
  }

  get #root(): Goal {
    return this.#expander.goals.of(this.#document.root, '#');
  }

  /**
   * Works out all rules, and yields where the patience is over.
   * @throws IngotError `unsupported` or `invalid_argument` with the keyword and its path.
   */
  *read(): Work<void> {
    this.#text(this.#root);
    for (let goal = this.#todo.pop(); goal !== undefined; goal = this.#todo.pop()) {
      const made = yield* this.#shapesText(goal, yield* this.#expander.shapes(goal));
      const target = this.#rules.get(goal);
      if (target) target.rule.term = made;
    }
  }

  /** Texts of the strings that the document allows, without quotes and escapes. */
  *readPlainString(): Work<Term> {
    const { strings } = yield* this.#expander.shapes(this.#root);
    const texts: Term[] = [];
    for (const shape of strings) texts.push(yield* stringContent(shape, this.#patience));
    return alt(...texts);
  }

  #text(goal: Goal): Term {
    if (goal === this.#expander.goals.always) return anyValue;
    if (goal.isNever) return never;
    let known = this.#rules.get(goal);
    if (!known) {
      const made = rule(goal.key);
      known = { rule: made, text: call(made) };
      this.#rules.set(goal, known);
      this.#todo.push(goal);
    }
    return known.text;
  }

  *#shapesText(goal: Goal, shapes: Shapes): Work<Term> {
    const options: Term[] = [
      shapes.null ? nullText : never,
      shapes.booleans.length === 2 ? anyBoolean : oneOf(shapes.booleans.map(String)),
    ];
    for (const shape of shapes.numbers) {
      options.push(
        shape.values
          ? yield* valuesText(shape.values, this.#patience)
          : yield* numberText(shape, this.#patience),
      );
      if (this.#patience.over) yield;
    }
    for (const shape of shapes.strings) {
      options.push(yield* stringText(shape, this.#patience));
      if (this.#patience.over) yield;
    }
    for (const shape of shapes.arrays) options.push(yield* this.#arrayText(shape, goal));
    options.push(yield* this.#objectTexts(shapes.objects), yield* wholesText(shapes, this.#patience));
    return alt(...options);
  }

  *#paced<T>(made: T): Work<T> {
    if (this.#patience.over) yield;
    return made;
  }

  *#arrayText(shape: ArrayShape, goal: Goal): Work<Term> {
    const { prefix, rest, min, max, contains, unique } = shape;
    const { goals } = this.#expander;
    if (contains.length > maxKinds) {
      throw unsupported(
        goal.literals[0]?.path ?? '#',
        'contains',
        `is said more than ${maxKinds} times of one array`,
      );
    }
    const choices = (index: number) => {
      let ways = [{ goals: [prefix[index] ?? rest], kinds: [] as boolean[] }];
      for (const { goal: kind, max: most } of contains) {
        const isCounted = most < Number.POSITIVE_INFINITY;
        ways = ways.flatMap((way) => [
          { goals: [...way.goals, kind], kinds: [...way.kinds, true] },
          // Where too many is no fault, one of the kind may go uncounted.
          {
            goals: isCounted ? [...way.goals, opposite(this.#expander, kind)] : way.goals,
            kinds: [...way.kinds, false],
          },
        ]);
      }
      return ways.map((way) => ({ text: this.#text(goals.all(...way.goals)), kinds: way.kinds }));
    };
    const all = { choices, places: prefix.length, min, max, counts: contains, unique };
    const elements = yield* elementsText(all, this.#patience);
    if (elements) return enclosedArray(elements);
    throw unsupported(goal.literals[0]?.path ?? '#', 'contains', 'counts more elements than can be followed');
  }

  /** Objects of one of the shapes: those that can be followed as one, which have each other's names. */
  *#objectTexts(shapes: readonly ObjectShape[]): Work<Term> {
    const texts: Term[] = [];
    let [together, names]: [ObjectShape[], Set<string>] = [[], new Set()];
    for (const shape of shapes) {
      if (this.#patience.over) yield;
      const all = new Set([...names, ...namesOf(shape)]);
      if (together.length > 0 && (together.length + 1) * all.size > maxTogether) {
        texts.push(yield* this.#objectText(together, [...names]));
        [together, names] = [[shape], new Set(namesOf(shape))];
      } else {
        together.push(shape);
        names = all;
      }
    }
    if (together.length > 0) texts.push(yield* this.#objectText(together, [...names]));
    return alt(...texts);
  }

  *#objectText(shapes: readonly ObjectShape[], names: readonly string[]): Work<Term> {
    const ways: MemberRules[] = [];
    for (const shape of shapes) ways.push(yield* this.#memberRules(shape, names));
    return enclosedObject(yield* membersText({ names, ways }, this.#patience));
  }

  *#memberRules(shape: ObjectShape, names: readonly string[]): Work<MemberRules> {
    const { meeting } = this.#expander;
    const numbers = new Map<string, number>();
    yield* each(names, this.#patience, (name, i) => numbers.set(name, i));
    const further = yield* this.#furtherMembers(shape, names);
    const clauses = yield* eachMade(
      shape.clauses,
      this.#patience,
      (clause): MemberClause =>
        clause.flatMap(({ name, others, there }): MemberClause => {
          if (name !== undefined) return [{ member: numbers.get(name) ?? 0, there }];
          const inside = new Set(others);
          const outside = names.flatMap((each, i) => (inside.has(each) ? [] : [{ member: i, there: true }]));
          return [...outside, { member: 'further', there: true }];
        }),
    );
    if (clauses.filter(({ length }) => length > 1).length > maxConditions) {
      const path = [...shape.named.values()].find((goal) => goal.literals[0])?.literals[0]?.path ?? '#';
      const why = `has more than ${maxConditions} of them in one place`;
      throw unsupported(path, 'dependentRequired', why);
    }
    const own = new Set(namesOf(shape));
    const isClosed = this.#isClosed(shape);
    const values: Term[] = [];
    for (const name of names) {
      const isForeign =
        isClosed && !own.has(name) && !shape.patterns.some(({ pattern }) => patternMatches(pattern, name));
      const goal = isForeign ? this.#expander.goals.never : yield* meeting.propertyOf(shape, name);
      values.push(yield* this.#paced(this.#text(goal)));
    }
    return { values, further, clauses, min: shape.min, max: shape.max };
  }

  /** Has no properties but those it speaks of, because the grammar is strict. */
  #isClosed(shape: ObjectShape): boolean {
    const isNamed = shape.named.size > 0 || shape.patterns.length > 0;
    return this.#strict && isNamed && shape.rests.length === 0 && !shape.evaluated.all;
  }

  /** Members without a name: one way for each set of patterns that their keys may match. */
  *#furtherMembers(
    shape: ObjectShape,
    names: readonly string[],
  ): Work<readonly { key: Shared; value: Term }[]> {
    const { goals } = this.#expander;
    const isClosed = this.#isClosed(shape);
    const patterns = [
      ...new Set([...shape.patterns.map((p) => p.pattern), ...shape.rests.flatMap((r) => r.patterns)]),
    ];
    if (patterns.length > maxAllPatterns) {
      const path = shape.patterns[0]?.goal.literals[0]?.path ?? shape.keys.literals[0]?.path ?? '#';
      throw unsupported(path, 'patternProperties', `has more than ${maxAllPatterns} patterns in one place`);
    }
    const keys = (yield* this.#expander.shapes(shape.keys)).strings;
    const found: { key: Shared; value: Term }[] = [];
    for (const matched of subsets(patterns)) {
      const has = (pattern: string): boolean => matched.includes(pattern);
      const goal = goals.all(
        ...shape.patterns.filter(({ pattern }) => has(pattern)).map((each) => each.goal),
        ...shape.rests.filter((rest) => !rest.patterns.some(has)).map((each) => each.goal),
      );
      if (goal.isNever || (isClosed && matched.length === 0)) continue;
      const others = patterns.filter((pattern) => !has(pattern));
      const value = this.#text(goal);
      for (const key of keys) {
        found.push({ key: yield* keyText(key, { matched, others, names }, this.#patience), value });
        if (this.#patience.over) yield;
      }
    }
    return found;
  }
}

/** Keys of a shape that match some patterns and no others. */
function* keyText(
  key: StringShape,
  { matched, others, names }: Readonly<Record<'matched' | 'others' | 'names', readonly string[]>>,
  patience: Patience,
): Work<Shared> {
  if (key.values) {
    const named = new Set(names);
    const fitting = yield* eachThat(
      key.values,
      patience,
      (value) =>
        !named.has(value) &&
        matched.every((pattern) => patternMatches(pattern, value)) &&
        !others.some((pattern) => patternMatches(pattern, value)),
    );
    return shared(yield* stringText({ ...anyStringShape, values: fitting }, patience));
  }
  const shape = {
    ...key,
    patterns: [...new Set([...key.patterns, ...matched])],
    notPatterns: [...new Set([...key.notPatterns, ...others])],
  };
  return isAnyString(shape) ? canonicalString : yield* canonicalText(shape, patience);
}

function namesOf(shape: ObjectShape): readonly string[] {
  const names = new Set(shape.named.keys());
  for (const clause of shape.clauses) {
    for (const { name, others } of clause)
      for (const each of name === undefined ? (others ?? []) : [name]) names.add(each);
  }
  // A rest that leaves out a name says nothing of it, so it must not be taken for one of the others.
  for (const { names: left } of shape.rests) for (const name of left) names.add(name);
  return [...names];
}

function subsets(patterns: readonly string[]): readonly (readonly string[])[] {
  if (patterns.length > maxPatterns) return [[], ...patterns.map((pattern) => [pattern])];
  return patterns.reduce<readonly (readonly string[])[]>(
    (all, pattern) => all.flatMap((some) => [some, [...some, pattern]]),
    [[]],
  );
}

function opposite({ goals }: Expander, goal: Goal): Goal {
  const [literal] = goal.literals;
  if (goal === goals.always) return goals.never;
  return goal.isNever || !literal ? goals.always : goals.of(literal.schema, literal.path, !literal.negated);
}

function* numberText(shape: NumberShape, patience: Patience): Work<Term> {
  const { integer = false, fraction, multiples, notMultiples, notValues, ...bounds } = shape;
  const holes = fraction ? [...notMultiples, 1] : notMultiples;
  if (Object.keys(bounds).length + multiples.length + holes.length + notValues.length === 0) {
    return integer ? anyInteger : anyNumber;
  }
  const all = { integer, multiples, notMultiples: holes, notValues, ...bounds };
  const start = yield* numberMachine(all, patience);
  return start ? machine(start) : never;
}
