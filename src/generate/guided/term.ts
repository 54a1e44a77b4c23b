// Grammars as terms over bytes. A term is data without state; terms may be shared, and recursion goes through rules.

import type { Patience, Work } from './patience.ts';
import { Texts as TextSet, type Texts, textsMachine } from './texts.ts';

/** Inclusive ranges, ascending and apart. */
export type Ranges = readonly (readonly [number, number])[];

/** A deterministic automaton by hand, for what terms say badly, such as numbers within bounds. */
export interface Machine {
  /** Equal keys mean equal states. */
  readonly key: string;
  readonly accepting: boolean;
  /** The bytes some state of this machine tells apart from the others. */
  readonly alphabet: string;
  /** The state after a byte; undefined when no text goes on like this. */
  step(byte: number): Machine | undefined;
}

/** A named part of a grammar; `term` is set once, after the rules it mentions exist. */
export interface Rule {
  readonly name: string;
  term: Term;
}

export type Term =
  | { readonly kind: 'empty' }
  | { readonly kind: 'never' }
  | { readonly kind: 'bytes'; readonly ranges: Ranges }
  | { readonly kind: 'seq'; readonly first: Term; readonly second: Term }
  | { readonly kind: 'alt'; readonly options: readonly Term[] }
  | Repeat
  | { readonly kind: 'rule'; readonly rule: Rule }
  /** Texts that match both. `size`: `right` bounds lengths only, and `left` has a text of at most so many parts from everywhere. */
  | { readonly kind: 'both'; readonly left: Term; readonly right: Term; readonly size?: number | undefined }
  /** Texts that do not match. */
  | { readonly kind: 'not'; readonly term: Term }
  | { readonly kind: 'machine'; readonly start: Machine }
  | Shared
  | Lazy
  | Branch
  | Except
  | Recorded;

export interface Repeat {
  readonly kind: 'repeat';
  readonly part: Term;
  readonly min: number;
  readonly max: number;
  /** The same with one repetition less, made when it is first needed. */
  less?: Term;
}

/** The same texts as `term`, followed by an automaton of its own, which all grammars share, and all terms of a `family`. */
export interface Shared {
  readonly kind: 'shared';
  readonly term: Term;
  /** A term with the same bytes, whose automaton follows this one, too. */
  readonly family: Term;
}

/** Worked out when a text reaches it. Equal ones must be one object. */
export interface Lazy {
  readonly kind: 'lazy';
  readonly name: string;
  /** All terms of which `make` may put something together. */
  readonly parts: readonly Term[];
  /** Whether some text matches, when none matches those in `barren`; called until nothing changes, the last time with all. */
  fertile(barren: (part: Term) => boolean): boolean;
  make(): Term;
}

/** One of the texts that are `allowed`, and after it what `after` says. */
export interface Branch {
  readonly kind: 'branch';
  readonly texts: Texts;
  allowed(index: number): boolean;
  after(index: number): Term;
}

/** A text of `part` that is none of `texts`. */
export interface Except {
  readonly kind: 'except';
  readonly part: Shared;
  readonly texts: Texts;
}

/** A text of `part` that is allowed, and after it what depends on it. */
export interface Recorded {
  readonly kind: 'recorded';
  readonly part: Shared;
  /** Text: a byte in each character. */
  allowed(text: string): boolean;
  after(text: string): Term;
  /** For masks: what may follow within the same token, whatever the text was. */
  readonly next: Term;
}

export const empty: Term = { kind: 'empty' };
export const never: Term = { kind: 'never' };

export const bytes = (ranges: Ranges): Term => (ranges.length === 0 ? never : { kind: 'bytes', ranges });

export function seq(...terms: readonly Term[]): Term {
  let result = empty;
  for (const first of terms.toReversed()) {
    if (first.kind === 'never') return never;
    if (first.kind === 'empty') continue;
    result = result.kind === 'empty' ? first : { kind: 'seq', first, second: result };
  }
  return result;
}

export function alt(...terms: readonly Term[]): Term {
  const options = [...new Set(terms.flatMap((t) => (t.kind === 'alt' ? t.options : [t])))].filter(
    ({ kind }) => kind !== 'never',
  );
  return options.length > 1 ? { kind: 'alt', options } : (options[0] ?? never);
}

export function repeat(part: Term, min = 0, max = Number.POSITIVE_INFINITY): Term {
  if (max < min) return never;
  if (max === 0 || part.kind === 'empty') return empty;
  if (part.kind === 'never') return min === 0 ? empty : never;
  return min === 1 && max === 1 ? part : { kind: 'repeat', part, min, max };
}

/** What is left of a repetition after one `part`. */
export function oneLess(term: Repeat): Term {
  if (term.max === Number.POSITIVE_INFINITY && term.min === 0) return term;
  term.less ??= repeat(term.part, Math.max(0, term.min - 1), term.max - 1);
  return term.less;
}

/** A repetition that is the same to a text of at most `most` more bytes. */
export function nearly(term: Repeat, most: number): Repeat {
  const min = Math.min(term.min, most + 1);
  const max = term.max > most ? Number.POSITIVE_INFINITY : term.max;
  if (min === term.min && max === term.max) return term;
  let bounded = bounds.get(term.part);
  if (!bounded) {
    bounded = new Map();
    bounds.set(term.part, bounded);
  }
  const key = `${min},${max}`;
  let made = bounded.get(key);
  if (!made) {
    made = { kind: 'repeat', part: term.part, min, max };
    bounded.set(key, made);
  }
  return made;
}

const bounds = new WeakMap<Term, Map<string, Repeat>>();

export const optional = (term: Term): Term => repeat(term, 0, 1);

const utf8 = new TextEncoder();
/** Texts up to this long are a sequence of bytes, and longer ones a machine. */
const longLiteral = 200;

export const literal = (text: string): Term =>
  text.length > longLiteral
    ? oneOf([text])
    : seq(...Array.from(utf8.encode(text), (byte) => bytes([[byte, byte]])));

/** One of the texts. */
export function oneOf(texts: readonly string[]): Term {
  const [only] = texts;
  if (only === undefined) return never;
  if (texts.length === 1 && only.length <= longLiteral) return literal(only);
  return machine(textsMachine(TextSet.of(texts)));
}

/** The same of many or long texts, which yields where the patience is over. */
export function* oneOfMany(texts: readonly string[], patience: Patience): Work<Term> {
  if (texts.length < 2 && (texts[0]?.length ?? 0) <= longLiteral) return oneOf(texts);
  return machine(textsMachine(yield* TextSet.sorted(texts, patience)));
}

export const rule = (name: string): Rule => ({ name, term: never });
export const call = (target: Rule): Term => ({ kind: 'rule', rule: target });
export const both = (left: Term, right: Term, size?: number): Term =>
  left.kind === 'never' || right.kind === 'never' ? never : { kind: 'both', left, right, size };
export const not = (term: Term): Term => ({ kind: 'not', term });
export const shared = (term: Term, family: Term = term): Shared => ({ kind: 'shared', term, family });
export const machine = (start: Machine): Term => ({ kind: 'machine', start });

/** Whether the empty text matches. */
export function nullable(term: Term, seen: ReadonlySet<Rule> = new Set()): boolean {
  switch (term.kind) {
    case 'empty':
      return true;
    case 'seq':
      return nullable(term.first, seen) && nullable(term.second, seen);
    case 'alt':
      return term.options.some((option) => nullable(option, seen));
    case 'repeat':
      return term.min === 0 || nullable(term.part, seen);
    case 'rule':
      return !seen.has(term.rule) && nullable(term.rule.term, new Set([...seen, term.rule]));
    case 'both':
      return nullable(term.left, seen) && nullable(term.right, seen);
    case 'not':
      return !nullable(term.term, seen);
    case 'shared':
      return nullable(term.term, seen);
    case 'machine':
      return term.start.accepting;
    default:
      return false;
  }
}
