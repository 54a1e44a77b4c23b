// What an automaton must know of a grammar before it follows it: the classes of its bytes, and the parts that no text matches.

import { each, type Patience, type Work } from './patience.ts';
import type { Term } from './term.ts';

export interface Analysis {
  /** Terms that no text matches, because they need `never` or themselves. */
  readonly barren: ReadonlySet<Term>;
  /** Bytes of one class are alike to the grammar. */
  readonly classOf: Uint8Array;
}

/** Terms between looks at the clock. */
const termsPerLook = 256;

/** Looks at every term below `root`, and pauses where the patience is over. */
export function* analyse(root: Term, patience: Patience): Generator<void, Analysis, void> {
  const all = yield* reachable(root, patience);
  return { barren: yield* barren(all, patience), classOf: yield* classesOf(all, patience) };
}

/** All terms below `root`, once, with those that hold them. */
function* reachable(root: Term, patience: Patience): Generator<void, Map<Term, Term[]>, void> {
  const holders = new Map<Term, Term[]>([[root, []]]);
  const todo = [root];
  for (let term = todo.pop(), count = 1; term !== undefined; term = todo.pop(), count++) {
    const holder = term;
    yield* each(partsOf(term), patience, (part) => {
      const known = holders.get(part);
      if (known) known.push(holder);
      else {
        holders.set(part, [holder]);
        todo.push(part);
      }
    });
    if (count % termsPerLook === 0 && patience.over) yield;
  }
  return holders;
}

/** The terms that a term is put together of. */
export function partsOf(term: Term): readonly Term[] {
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
    case 'lazy':
      return term.parts;
    case 'except':
    case 'recorded':
      return [term.part];
    default:
      return [];
  }
}

/** Starts from what is sure to have a text, and goes up. */
function* barren(holders: ReadonlyMap<Term, readonly Term[]>, patience: Patience): Work<ReadonlySet<Term>> {
  const left = new Set<Term>();
  const todo: Term[] = [];
  yield* each(holders.keys(), patience, (term) => {
    left.add(term);
    todo.push(term);
  });
  const isBarren = (term: Term): boolean => left.has(term);
  for (let term = todo.pop(), count = 1; term !== undefined; term = todo.pop(), count++) {
    if (left.has(term) && isFertile(term, isBarren)) {
      left.delete(term);
      yield* each(holders.get(term) ?? [], patience, (holder) => {
        if (left.has(holder)) todo.push(holder);
      });
    }
    // What is lazy looks at all its parts.
    if ((term.kind === 'lazy' || count % termsPerLook === 0) && patience.over) yield;
  }
  for (const term of holders.keys()) {
    if (term.kind !== 'lazy') continue;
    term.fertile(isBarren);
    if (patience.over) yield;
  }
  return left;
}

function isFertile(term: Term, isBarren: (term: Term) => boolean): boolean {
  switch (term.kind) {
    case 'never':
      return false;
    case 'seq':
      return !isBarren(term.first) && !isBarren(term.second);
    case 'alt':
      return term.options.some((option) => !isBarren(option));
    case 'repeat':
      return term.min === 0 || !isBarren(term.part);
    case 'rule':
      return !isBarren(term.rule.term);
    case 'both':
      return !isBarren(term.left) && !isBarren(term.right);
    case 'shared':
      return !isBarren(term.term);
    case 'except':
    case 'recorded':
      return !isBarren(term.part);
    case 'lazy':
      return term.fertile(isBarren);
    default:
      return true;
  }
}

/** Numbers the classes of bytes that no term and no machine tells apart. */
function* classesOf(terms: ReadonlyMap<Term, unknown>, patience: Patience): Work<Uint8Array> {
  const borders = new Set([0]);
  const addAll = (alphabet: string): void => {
    for (const char of alphabet) borders.add(char.charCodeAt(0)).add(char.charCodeAt(0) + 1);
  };
  yield* each(terms.keys(), patience, (term) => {
    if (term.kind === 'bytes') for (const [low, high] of term.ranges) borders.add(low).add(high + 1);
    if (term.kind === 'machine') addAll(term.start.alphabet);
    if (term.kind === 'except' || term.kind === 'branch') addAll(term.texts.alphabet);
  });
  const classes = new Uint8Array(256);
  let current = -1;
  for (let byte = 0; byte < 256; byte++) {
    if (borders.has(byte)) current++;
    classes[byte] = current;
  }
  return classes;
}
