// Walks the tree of a vocabulary with an automaton, and stops where its slice is over, to go on from there.

import { IngotError } from '../../base/errors.ts';
import { type Automaton, dead, rowsSoFar } from './automaton.ts';
import type { GrammarState } from './live.ts';
import { type Patience, paused } from './patience.ts';
import type { Trie } from './trie.ts';

/** Rows of automata that one mask may need: more means a grammar with too many ways to read one text. */
const maxRows = 30_000;
/** Nodes of the tree between looks at the clock. */
const nodesPerLook = 2048;

export class Walk {
  /** What the tokens found so far allow. */
  readonly mask: Int32Array;
  /** Nodes at which the text may end, with more of a token to come. */
  readonly exits: number[] = [];
  /** Nodes with a token after which the text may end and cannot go on. */
  readonly finals: number[] = [];
  /** Nodes from which on the table does not know which tokens are allowed. */
  readonly doubts: number[] = [];
  readonly #trie: Trie;
  readonly #automaton: Automaton;
  readonly #slice: Patience;
  /** States above the present node, by depth. */
  readonly #path: Int32Array;
  /** Not filled yet. */
  #start: GrammarState | undefined;
  #node = 0;
  #end = 0;
  /** Nodes below which the walk goes on, with which state. */
  #exits: readonly number[] = [];
  #nextExit = 0;
  #afterExit = 0;
  #rows = 0;

  constructor(trie: Trie, automaton: Automaton, mask: Int32Array, slice: Patience) {
    this.#trie = trie;
    this.#automaton = automaton;
    this.mask = mask;
    this.#slice = slice;
    this.#path = new Int32Array(trie.maxDepth + 2);
  }

  /** The nodes from `begin` to `end`, the branches of one node, with the automaton in `start` above them. */
  begin(start: GrammarState, begin: number, end: number): void {
    this.#exits = [];
    this.#nextExit = 0;
    this.#node = begin;
    this.#end = end;
    this.#path[this.#trie.depths[begin] as number] = start.id;
    this.#start = start;
  }

  /** The nodes below each of `exits`, with the automaton in `start` there. */
  beginAfter(start: GrammarState, exits: readonly number[]): void {
    this.#exits = exits;
    this.#nextExit = 0;
    this.#afterExit = start.id;
    this.#start = start;
    this.#node = this.#end = 0;
  }

  /** False when there is more to do. */
  go(): boolean {
    if (this.#rows > maxRows) throw tooMany();
    try {
      if (this.#start) this.#fill(this.#start);
      this.#start = undefined;
      return this.#walk();
    } catch (error) {
      if (error === paused) return false;
      throw error;
    }
  }

  #walk(): boolean {
    const { bytes, depths, ends, tokens, same } = this.#trie;
    const { classOf, classes, states } = this.#automaton;
    const { mask, exits, finals } = this;
    const path = this.#path;
    let end = this.#end;
    let { table } = this.#automaton; // filling may replace it
    let looked = 0;
    let node = this.#node;
    for (; ; looked++) {
      if (node >= end) {
        if (this.#nextExit >= this.#exits.length) break;
        const exit = this.#exits[this.#nextExit++] as number;
        node = exit + 1;
        end = this.#end = ends[exit] as number;
        path[(depths[exit] as number) + 1] = this.#afterExit;
      }
      if (looked >= nodesPerLook) {
        looked = 0;
        if (this.#slice.over) break;
      }
      const depth = depths[node] as number;
      const next = table[
        (path[depth] as number) * classes + (classOf[bytes[node] as number] as number)
      ] as number;
      if (next === dead) {
        node = ends[node] as number;
        continue;
      }
      const state = states[next] as GrammarState;
      if (state.doubtful) {
        this.doubts.push(node);
        node = ends[node] as number;
        continue;
      }
      const token = tokens[node] as number;
      for (let id = token; id >= 0; id = same[id] as number) {
        mask[id >> 5] = (mask[id >> 5] as number) | (1 << (id & 31));
      }
      if (token >= 0 && state.accepting && state.items.length === 0) finals.push(node);
      if ((ends[node] as number) > node + 1) {
        path[depth + 1] = next;
        this.#node = node; // where to go on if that pauses
        if (this.#fill(state)) {
          if (this.#rows > maxRows) throw tooMany();
          table = this.#automaton.table;
          looked = nodesPerLook; // that may have taken long
        }
        if (state.accepting) exits.push(node);
      }
      node++;
    }
    this.#node = node;
    return node >= end && this.#nextExit >= this.#exits.length;
  }

  /** Works out where a state leads; true when that was not known. */
  #fill(state: GrammarState): boolean {
    const before = rowsSoFar();
    try {
      return this.#automaton.fill(state, this.#slice);
    } finally {
      this.#rows += rowsSoFar() - before; // also where that pauses
    }
  }
}

const tooMany = (): IngotError =>
  new IngotError(
    'unsupported',
    `the grammar takes more than ${maxRows} states to follow one token; bound its repetitions closer, or anchor its patterns`,
  );
