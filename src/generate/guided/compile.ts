// From a spec to a constraint of sampling. Vocabularies and grammars are kept, so that each is read once.

import { IngotError } from '../../base/errors.ts';
import { nextTurn } from '../../base/turn.ts';
import type { TokenConstraint } from '../constraint.ts';
import { analyse } from './analysis.ts';
import { Automaton } from './automaton.ts';
import { GrammarConstraint } from './grammar-constraint.ts';
import { Masks } from './masks.ts';
import { TimeSlice } from './patience.ts';
import type { ConstraintSpec } from './spec.ts';
import { measure } from './spec-size.ts';
import { termOf } from './term-of.ts';
import { buildTries } from './trie.ts';
import { learnProperties } from './unicode.ts';

/** What a grammar must know of a vocabulary; a Tokenizer fits. */
export interface ConstraintVocabulary {
  readonly vocabSize: number;
  /** Ids that end a text; allowed where the grammar may end, and nowhere else. */
  readonly eosIds: readonly number[];
  readonly specialIds: ReadonlySet<number>;
  bytesOf(id: number): Uint8Array;
}

export interface ConstraintOptions {
  /** Special tokens that spell a part of the text, such as the marker of a tool call. All others are never allowed. */
  readonly keep?: ReadonlySet<number> | undefined;
  /** Ends the work when nobody waits for it any more. */
  readonly signal?: AbortSignal | undefined;
}

interface Vocabulary {
  readonly masks: Promise<Masks>;
  /** By the JSON of the spec; the least recently used first. */
  readonly grammars: Map<string, Automaton>;
}

/** Milliseconds of work between turns of the event loop. */
const sliceMs = 4;

/** Grammars kept per vocabulary. */
const maxGrammars = 32;
const vocabularies = new WeakMap<ConstraintVocabulary, Map<string, Vocabulary>>();

/**
 * A fresh constraint of one generation. The work is done in slices, with turns of the event loop between them; states of the
 * grammar are made as the text meets them.
 * @throws IngotError `unsupported` for a schema keyword or a part of a pattern that cannot be followed, with its path;
 *   `invalid_argument` for one that is wrong or too large; the signal's reason when that is aborted.
 */
export async function compileConstraint(
  spec: ConstraintSpec,
  vocabulary: ConstraintVocabulary,
  options: ConstraintOptions = {},
): Promise<TokenConstraint> {
  const known = vocabularyOf(vocabulary, options.keep ?? new Set());
  const { keepable, patterns } = await inSlices(() => measure(spec), options.signal);
  const key = keepable ? JSON.stringify(spec) : undefined;
  let automaton = key === undefined ? undefined : known.grammars.get(key);
  if (!automaton || automaton.isLarge) {
    for (const pattern of patterns) {
      await inSlices((slice) => learnProperties(pattern, slice), options.signal);
    }
    const term = await inSlices((slice) => termOf(spec, slice), options.signal);
    const analysis = await inSlices((slice) => analyse(term, slice), options.signal);
    automaton = new Automaton(term, analysis);
    if (automaton.start.items.length === 0 && !automaton.start.accepting) {
      throw new IngotError('invalid_argument', 'no text satisfies the constraint');
    }
  }
  if (key !== undefined) keep(known.grammars, key, automaton);
  const masks = await known.masks;
  const constraint = new GrammarConstraint(automaton, masks, vocabulary);
  try {
    // What cannot be followed from its beginning on is refused before an answer has begun.
    const ready = constraint.prepare();
    if (ready) await untilAborted(ready, options.signal);
    options.signal?.throwIfAborted();
    return constraint;
  } catch (error) {
    constraint.dispose();
    throw error;
  }
}

function untilAborted(work: Promise<void>, signal: AbortSignal | undefined): Promise<void> {
  if (!signal) return work;
  signal.throwIfAborted();
  return new Promise((resolve, reject) => {
    const stop = (): void => reject(signal.reason);
    signal.addEventListener('abort', stop, { once: true });
    work.then(resolve, reject).finally(() => signal.removeEventListener('abort', stop));
  });
}

/** Goes through work that pauses where its slice is over, and lets the event loop run between slices. */
async function inSlices<T>(
  start: (slice: TimeSlice) => Generator<void, T, void>,
  signal: AbortSignal | undefined,
): Promise<T> {
  const slice = new TimeSlice();
  const work = start(slice);
  for (;;) {
    signal?.throwIfAborted();
    slice.begin(sliceMs);
    let step = next(work);
    while (step.done !== true && !slice.over) step = next(work);
    if (step.done === true) return step.value;
    await nextTurn();
  }
}

/** What readers go down into is bounded; where the stack is small all the same, the spec is at fault and not Ingot. */
function next<T>(work: Generator<void, T, void>): IteratorResult<void, T> {
  try {
    return work.next();
  } catch (error) {
    if (!(error instanceof RangeError)) throw error;
    const problem = 'the constraint is nested too deeply, or has too many parts in one place';
    throw new IngotError('invalid_argument', problem, { cause: error });
  }
}

function keep(grammars: Map<string, Automaton>, key: string, automaton: Automaton): void {
  grammars.delete(key);
  grammars.set(key, automaton);
  const [oldest] = grammars.keys();
  if (grammars.size > maxGrammars && oldest !== undefined) grammars.delete(oldest);
}

function vocabularyOf(vocabulary: ConstraintVocabulary, keep: ReadonlySet<number>): Vocabulary {
  let byKeep = vocabularies.get(vocabulary);
  if (!byKeep) {
    byKeep = new Map();
    vocabularies.set(vocabulary, byKeep);
  }
  const key = [...keep].sort((a, b) => a - b).join();
  let known = byKeep.get(key);
  if (!known) {
    const masks = buildTries(vocabulary, keep).then((tries) => new Masks(tries, vocabulary.vocabSize));
    known = { masks, grammars: new Map() };
    byKeep.set(key, known);
  }
  return known;
}
