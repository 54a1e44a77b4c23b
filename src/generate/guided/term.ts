// Grammars as terms over bytes. A term is data without state; terms may be shared, and recursion goes through rules.

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
  /** Texts that match both. */
  | { readonly kind: 'both'; readonly left: Term; readonly right: Term }
  /** Texts that do not match. */
  | { readonly kind: 'not'; readonly term: Term }
  | { readonly kind: 'machine'; readonly start: Machine }
  /** The same texts as `term`, followed by an automaton of its own, which all grammars share. */
  | { readonly kind: 'shared'; readonly term: Term };

export interface Repeat {
  readonly kind: 'repeat';
  readonly part: Term;
  readonly min: number;
  readonly max: number;
  /** The same with one repetition less, made when it is first needed. */
  less?: Term;
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

export const optional = (term: Term): Term => repeat(term, 0, 1);

const utf8 = new TextEncoder();

export const literal = (text: string): Term =>
  seq(...Array.from(utf8.encode(text), (byte) => bytes([[byte, byte]])));

export const rule = (name: string): Rule => ({ name, term: never });
export const call = (target: Rule): Term => ({ kind: 'rule', rule: target });
export const both = (left: Term, right: Term): Term =>
  left.kind === 'never' || right.kind === 'never' ? never : { kind: 'both', left, right };
export const not = (term: Term): Term => ({ kind: 'not', term });
export const shared = (term: Term): Term => ({ kind: 'shared', term });
export const machine = (start: Machine): Term => ({ kind: 'machine', start });

/** Every term reachable from `root`, once. */
export function reachable(root: Term): Set<Term> {
  const seen = new Set<Term>();
  const todo = [root];
  for (let term = todo.pop(); term !== undefined; term = todo.pop()) {
    if (seen.has(term)) continue;
    seen.add(term);
    todo.push(...partsOf(term));
  }
  return seen;
}

function partsOf(term: Term): readonly Term[] {
  switch (term.kind) {
    case 'seq':
      return [term.first, term.second];
    case 'alt':
      return term.options;
    case 'repeat':
      return [term.part];
    case 'rule':
      return [term.rule.term];
    case 'both':
      return [term.left, term.right];
    case 'not':
    case 'shared':
      return [term.term];
    default:
      return [];
  }
}

/** Terms below `root` that no text matches, because they need `never` or themselves. */
export function barren(root: Term): Set<Term> {
  const left = reachable(root);
  for (let before = -1; before !== left.size; ) {
    before = left.size;
    for (const term of [...left].reverse()) if (isFertile(term, left)) left.delete(term);
  }
  return left;
}

/** Whether some text matches, when none matches the terms in `unknown`. */
function isFertile(term: Term, unknown: ReadonlySet<Term>): boolean {
  switch (term.kind) {
    case 'never':
      return false;
    case 'seq':
      return !unknown.has(term.first) && !unknown.has(term.second);
    case 'alt':
      return term.options.some((option) => !unknown.has(option));
    case 'repeat':
      return term.min === 0 || !unknown.has(term.part);
    case 'rule':
      return !unknown.has(term.rule.term);
    case 'both':
      return !unknown.has(term.left) && !unknown.has(term.right);
    case 'shared':
      return !unknown.has(term.term);
    default:
      return true;
  }
}

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
