// From a spec to a constraint of sampling. Vocabularies and grammars are kept, so that each is read once.

import { IngotError } from '../../base/errors.ts';
import type { TokenConstraint } from '../constraint.ts';
import { Automaton } from './automaton.ts';
import { GrammarConstraint } from './grammar-constraint.ts';
import { Masks } from './masks.ts';
import type { ConstraintSpec } from './spec.ts';
import type { Term } from './term.ts';
import { termOf } from './term-of.ts';
import { buildTrie } from './trie.ts';

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
}

interface Vocabulary {
  readonly masks: Promise<Masks>;
  /** By the JSON of the spec; the least recently used first. */
  readonly grammars: Map<string, Automaton>;
}

/** Grammars kept per vocabulary. */
const maxGrammars = 32;
/** Size of an automaton after which it begins anew: a long text may meet ever new states. */
const maxSize = 200_000;

/** Values of a spec: reading more of them would hold up the event loop for too long. */
const maxValues = 20_000;

const vocabularies = new WeakMap<ConstraintVocabulary, Map<string, Vocabulary>>();

/**
 * A fresh constraint of one generation. Nothing of it takes long: states of the grammar are made as the text meets them.
 * @throws IngotError `unsupported` for a schema keyword or a part of a pattern that cannot be followed, with its path;
 *   `invalid_argument` for one that is wrong or too large.
 */
export async function compileConstraint(
  spec: ConstraintSpec,
  vocabulary: ConstraintVocabulary,
  options: ConstraintOptions = {},
): Promise<TokenConstraint> {
  const known = vocabularyOf(vocabulary, options.keep ?? new Set());
  const key = JSON.stringify(spec);
  if (!known.grammars.has(key)) checkSize(spec);
  const term = known.grammars.has(key) ? undefined : termOf(spec);
  const masks = await known.masks;
  let automaton = known.grammars.get(key);
  if (!automaton || automaton.size > maxSize) automaton = automatonOf(term ?? termOf(spec));
  known.grammars.delete(key);
  known.grammars.set(key, automaton);
  const [oldest] = known.grammars.keys();
  if (known.grammars.size > maxGrammars && oldest !== undefined) known.grammars.delete(oldest);
  return new GrammarConstraint(automaton, masks, vocabulary);
}

function checkSize(spec: ConstraintSpec): void {
  const todo: unknown[] = [spec];
  for (let count = 1; todo.length > 0; count++) {
    if (count > maxValues) {
      throw new IngotError(
        'invalid_argument',
        `a schema may have ${maxValues} values, and this one has more`,
      );
    }
    const value = todo.pop();
    if (typeof value !== 'object' || value === null) continue;
    for (const inner of Object.values(value)) todo.push(inner);
  }
}

function automatonOf(term: Term): Automaton {
  const automaton = new Automaton(term);
  if (automaton.start.items.length > 0 || automaton.start.accepting) return automaton;
  throw new IngotError('invalid_argument', 'no text satisfies the constraint');
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
    known = { masks: buildTrie(vocabulary, keep).then((trie) => new Masks(trie)), grammars: new Map() };
    byKeep.set(key, known);
  }
  return known;
}
