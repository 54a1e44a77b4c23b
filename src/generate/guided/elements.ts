// The elements of an array: those at given places, how many of a kind there must or may be, and none twice.

import { partsOf } from './analysis.ts';
import { Automaton } from './automaton.ts';
import { comma, commaSeparated } from './json-text.ts';
import type { GrammarState } from './live.ts';
import type { Patience, Work } from './patience.ts';
import {
  alt,
  call,
  empty,
  type Lazy,
  never,
  optional,
  repeat,
  rule,
  type Shared,
  seq,
  type Term,
} from './term.ts';
import { isTexts, Texts } from './texts.ts';

/** One way to be an element: its text, and for each kind that is counted whether it is one of it. */
export interface Choice {
  readonly text: Term;
  readonly kinds: readonly boolean[];
}

export interface Elements {
  /** What may stand at a place; the same for all places from `places` on. */
  choices(index: number): readonly Choice[];
  readonly places: number;
  readonly min: number;
  readonly max: number;
  /** How many there must be of each kind that is counted. */
  readonly counts: readonly { readonly min: number; readonly max: number }[];
  readonly unique: boolean;
}

/** Places and counts that are told apart, at most. */
const maxStates = 20_000;
/** Texts of a finite set of values, and bytes of one, for arrays without equal elements. */
const maxValues = 300;
const maxBytes = 100;
/** Places between looks at the clock. */
const placesPerLook = 32;

/**
 * Texts of the elements with commas between; undefined when there are too many ways to count. Yields where the patience is
 * over.
 */
export function* elementsText(elements: Elements, patience: Patience): Work<Term | undefined> {
  if (elements.unique && elements.max > 1) return yield* distinct(elements, patience);
  return yield* elements.counts.length === 0 ? plain(elements, patience) : counted(elements, patience);
}

function* plain({ choices, places, min, max }: Elements, patience: Patience): Work<Term> {
  const item = (i: number): Term => alt(...choices(i).map(({ text }) => text));
  if (places === 0 && max > 0) return commaSeparated(item(0), min, max);
  const last = Math.min(places, max);
  // From the end, since there may be many places.
  let from =
    last < min && last >= max ? never : last >= max ? empty : furtherItems(item(last), last, { min, max });
  for (let i = last - 1; i >= 0; i--) {
    const more = seq(i > 0 ? comma : empty, item(i), from);
    from = i >= min ? optional(more) : more;
    if (i % placesPerLook === 0 && patience.over) yield;
  }
  return from;
}

const furtherItems = (item: Term, before: number, { min, max }: { min: number; max: number }): Term =>
  repeat(seq(comma, item), Math.max(0, min - before), max - before);

function* counted(
  { choices, places, min, max, counts }: Elements,
  patience: Patience,
): Work<Term | undefined> {
  const limits = limitsOf({ places, min, max, counts });
  const size = limits.counts.reduce((all, limit) => all * (limit + 1), limits.index + 1);
  if (size > maxStates) return undefined;
  const known = new Map<string, ReturnType<typeof rule>>();
  const todo: (() => void)[] = [];
  const at = (index: number, found: readonly number[]): Term => {
    const key = `${index};${found.join()}`;
    let made = known.get(key);
    if (!made) {
      const fresh = rule(key);
      made = fresh;
      known.set(key, fresh);
      todo.push(() => {
        const options = mayEnd(index, found, { min, max, counts }) ? [empty] : [];
        for (const { text, kinds } of index < max ? choices(index) : []) {
          const next = found.map((n, k) => Math.min(n + (kinds[k] ? 1 : 0), limits.counts[k] ?? 0));
          if (counts.some((count, k) => (next[k] ?? 0) > count.max)) continue;
          const rest = at(Math.min(index + 1, limits.index), next);
          options.push(seq(index > 0 ? comma : empty, text, rest));
        }
        fresh.term = alt(...options);
      });
    }
    return call(made);
  };
  const start = at(
    0,
    counts.map(() => 0),
  );
  for (let work = todo.pop(), i = 0; work !== undefined; work = todo.pop(), i++) {
    work();
    if (i % placesPerLook === 0 && patience.over) yield;
  }
  return start;
}

type Bounds = Pick<Elements, 'places' | 'min' | 'max' | 'counts'>;

/** Beyond these an index and the counts need not be told apart. */
const limitsOf = ({ places, min, max, counts }: Bounds) => ({
  index: Math.max(1, places, min, max === Number.POSITIVE_INFINITY ? 0 : max),
  counts: counts.map((count) => (count.max === Number.POSITIVE_INFINITY ? count.min : count.max + 1)),
});

const mayEnd = (index: number, found: readonly number[], bounds: Omit<Bounds, 'places'>): boolean =>
  index >= bounds.min &&
  index <= bounds.max &&
  bounds.counts.every(({ min, max }, k) => (found[k] ?? 0) >= min && (found[k] ?? 0) <= max);

interface Written {
  readonly index: number;
  readonly found: readonly number[];
  /** The values so far, in a form in which equal ones are equal. */
  readonly values: readonly string[];
}

/** Elements of which none is twice, with all that may stand at their places. */
function* distinct(elements: Elements, patience: Patience): Work<Term> {
  const parts = new Set<Term>([comma]);
  for (let i = 0; i <= elements.places; i++) {
    for (const { text } of elements.choices(i)) parts.add(text);
    if (i % placesPerLook === 0 && patience.over) yield;
  }
  return new DistinctElements(elements, [...parts]).start;
}

/** All texts of an element's choice, where they are few and short. */
interface Finite {
  readonly texts: Texts;
  /** The values that they spell. */
  readonly values: readonly string[];
}

function finiteTexts(text: Term): Finite | undefined {
  const all = allTexts(text);
  return all && { texts: Texts.of(all.map(decoded)), values: all.map(valueIn) };
}

/** Elements of which none is twice: what was written is remembered, and may not end again. */
class DistinctElements {
  readonly #elements: Elements;
  readonly #limits: ReturnType<typeof limitsOf>;
  readonly #places = new Map<string, Lazy>();
  readonly #finite = new Map<Term, Finite | undefined>();
  /** All terms of which places are made. */
  readonly #parts: readonly Term[];
  readonly #shared = new Map<Term, Shared>();
  #isBarren: (part: Term) => boolean = () => false;

  constructor(elements: Elements, parts: readonly Term[]) {
    this.#elements = elements;
    this.#limits = limitsOf(elements);
    this.#parts = parts;
  }

  get start(): Term {
    return this.#at({ index: 0, found: this.#elements.counts.map(() => 0), values: [] });
  }

  #at(written: Written): Lazy {
    const key = `${written.index};${written.found.join()};${written.values.join('\0')}`;
    let made = this.#places.get(key);
    if (!made) {
      let term: Term | undefined;
      made = {
        kind: 'lazy',
        name: 'elements',
        parts: this.#parts,
        fertile: (isBarren) => this.#learn(isBarren),
        make: () => {
          term ??= this.#text(written);
          return term;
        },
      };
      this.#places.set(key, made);
    }
    return made;
  }

  #learn(isBarren: (part: Term) => boolean): boolean {
    this.#isBarren = isBarren;
    const { min, choices, counts } = this.#elements;
    const needed = counts.every((count) => count.min === 0) ? min : Math.max(1, min);
    return needed === 0 || choices(0).some(({ text }) => !isBarren(text));
  }

  #text(written: Written): Term {
    const { counts, max, choices } = this.#elements;
    const options: Term[] = mayEnd(written.index, written.found, this.#elements) ? [empty] : [];
    for (const { text, kinds } of written.index < max ? choices(written.index) : []) {
      if (this.#isBarren(text)) continue;
      const found = written.found.map((n, k) =>
        Math.min(n + (kinds[k] ? 1 : 0), this.#limits.counts[k] ?? 0),
      );
      if (counts.some((count, k) => (found[k] ?? 0) > count.max)) continue;
      const element = this.#element(text, { ...written, found });
      options.push(seq(written.index > 0 ? comma : empty, element));
    }
    return alt(...options);
  }

  #element(text: Term, { index, found, values }: Written): Term {
    const next = (value: string): Term =>
      this.#at({ index: Math.min(index + 1, this.#limits.index), found, values: [...values, value] });
    if (!this.#finite.has(text)) this.#finite.set(text, finiteTexts(text));
    const finite = this.#finite.get(text);
    if (finite) {
      const all = finite.values;
      const written = new Set(values);
      const isLeft = (i: number): boolean => !written.has(all[i] ?? '');
      if (all.every((value) => written.has(value))) return never;
      return {
        kind: 'branch',
        texts: finite.texts,
        allowed: isLeft,
        after: (i) => next(all[i] ?? ''),
      };
    }
    let part = this.#shared.get(text);
    if (!part) {
      part = { kind: 'shared', term: text, family: text };
      this.#shared.set(text, part);
    }
    return {
      kind: 'recorded',
      part,
      allowed: (bytes) => !values.includes(valueIn(bytes)),
      after: (bytes) => next(valueIn(bytes)),
      next: next(''),
    };
  }
}

const utf8 = new TextDecoder();
const decoded = (bytes: string): string => utf8.decode(Uint8Array.from(bytes, (c) => c.charCodeAt(0)));

/** A value in a form in which equal ones are equal, from the bytes of its text. */
function valueIn(bytes: string): string {
  try {
    return canonical(JSON.parse(decoded(bytes)));
  } catch {
    return bytes; // an end that is none
  }
}

function canonical(value: unknown): string {
  if (Array.isArray(value)) return `[${value.map(canonical).join()}]`;
  if (typeof value !== 'object' || value === null) return JSON.stringify(value);
  const entries = Object.entries(value).sort(([a], [b]) => (a < b ? -1 : 1));
  return `{${entries.map(([key, inner]) => `${JSON.stringify(key)}:${canonical(inner)}`).join()}}`;
}

/** Whether it is seen at once that a term has many texts. */
function isEndless(term: Term): boolean {
  const seen = new Set([term]);
  for (const each of seen) {
    const { kind } = each;
    if (kind === 'lazy' || kind === 'shared' || kind === 'except' || kind === 'recorded') return true;
    if (kind === 'repeat' && each.max > maxValues) return true;
    if (kind === 'machine' && isTexts(each.start) && each.start.texts.size > maxValues) return true;
    if (seen.size > maxValues) return true;
    for (const part of partsOf(each)) seen.add(part);
  }
  return false;
}

/** The texts of a term, bytes as characters; undefined when there are many or long ones. */
function allTexts(term: Term): readonly string[] | undefined {
  if (isEndless(term)) return undefined;
  const automaton = Automaton.of(term);
  const found: string[] = [];
  const todo: (readonly [GrammarState, string])[] = [[automaton.start, '']];
  for (let next = todo.pop(); next !== undefined; next = todo.pop()) {
    const [state, text] = next;
    if (state.accepting) found.push(text);
    if (found.length + todo.length > maxValues || text.length > maxBytes) return undefined;
    for (let byte = 255; byte >= 0 && state.items.length > 0; byte--) {
      const after = automaton.step(state, byte);
      if (after) todo.push([after, text + String.fromCharCode(byte)]);
      if (todo.length > maxValues) return undefined;
    }
  }
  return found;
}
