// Which tokens a state allows: the tree of the vocabulary is walked with the automaton, once per state. Inside a shared part
// the tokens that stay inside are known already, and only what follows its end is walked.

import { IngotError } from '../../base/errors.ts';
import { type Automaton, dead, type State } from './automaton.ts';
import type { Trie } from './trie.ts';

/** Bytes of masks kept per automaton; beyond it they are forgotten and made again when needed. */
const budget = 32 << 20;

/** New states that one mask may need: more means a grammar with too many ways to read one text. */
const maxNewStates = 20_000;

interface PartMask {
  readonly mask: Int32Array;
  /** Nodes of the tree at which the part may have ended, with more of a token to come. */
  readonly exits: readonly number[];
}

/** The masks of all automata over one vocabulary. */
export class Masks {
  readonly #trie: Trie;
  readonly #path: Int32Array;
  readonly #kept = new WeakMap<Automaton, Map<State, PartMask>>();

  constructor(trie: Trie) {
    this.#trie = trie;
    this.#path = new Int32Array(trie.maxDepth + 2);
  }

  /** Bit `id & 31` of word `id >> 5` is set when the token may come next. End tokens are not part of it. */
  of(automaton: Automaton, state: State): Int32Array {
    return this.#of(automaton, state).mask;
  }

  #of(automaton: Automaton, state: State): PartMask {
    const kept = this.#kept.get(automaton) ?? new Map<State, PartMask>();
    this.#kept.set(automaton, kept);
    const known = kept.get(state);
    if (known) return known;
    const words = Math.ceil(this.#trie.vocabSize / 32);
    if ((kept.size + 1) * words * 4 > budget) kept.clear();
    const made = this.#make(automaton, state, words);
    kept.set(state, made);
    return made;
  }

  #make(automaton: Automaton, state: State, words: number): PartMask {
    const { ends, bytes } = this.#trie;
    const exits: number[] = [];
    const part = automaton.inPart(state);
    if (!part) {
      const mask = new Int32Array(words);
      this.#walk(automaton, state, mask, exits, 0, bytes.length);
      return { mask, exits };
    }
    const inner = this.#of(part.automaton, part.state);
    const mask = inner.mask.slice();
    for (const exit of inner.exits) {
      if (part.after.accepting) exits.push(exit);
      this.#walk(automaton, part.after, mask, exits, exit + 1, ends[exit] ?? 0);
    }
    return { mask, exits };
  }

  /** Walks the nodes from `begin` to `end`, the branches of one node, with the automaton in `start` above them. */
  #walk(
    automaton: Automaton,
    start: State,
    mask: Int32Array,
    exits: number[],
    begin: number,
    end: number,
  ): void {
    const { bytes, depths, ends, tokens, same } = this.#trie;
    const { classOf, classes, states } = automaton;
    const path = this.#path;
    const limit = states.length + maxNewStates;
    path[depths[begin] as number] = start.id;
    automaton.fill(start);
    let { table } = automaton; // filling may replace it
    for (let node = begin; node < end; ) {
      const depth = depths[node] as number;
      const next = table[
        (path[depth] as number) * classes + (classOf[bytes[node] as number] as number)
      ] as number;
      if (next === dead) {
        node = ends[node] as number;
        continue;
      }
      for (let id = tokens[node] as number; id >= 0; id = same[id] as number) {
        mask[id >> 5] = (mask[id >> 5] as number) | (1 << (id & 31));
      }
      if ((ends[node] as number) > node + 1) {
        if (states.length > limit) throw tooMany();
        const state = states[next] as State;
        path[depth + 1] = next;
        automaton.fill(state);
        table = automaton.table;
        if (state.accepting) exits.push(node);
      }
      node++;
    }
  }
}

const tooMany = (): IngotError =>
  new IngotError(
    'unsupported',
    `the grammar has more than ${maxNewStates} states within one token; bound its repetitions closer, or anchor its patterns`,
  );
