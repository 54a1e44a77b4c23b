// Walks the tree of a vocabulary with an automaton, and stops where its slice is over, to go on from there.

import { IngotError } from '../../base/errors.ts';
import { type Automaton, rowsSoFar } from './automaton.ts';
import type { GrammarState } from './live.ts';
import { type Patience, paused } from './patience.ts';
import { dead, flag } from './transitions.ts';
import type { Trie } from './trie.ts';

/** Rows of automata that one mask may need: more means a grammar with too many ways to read one text. */
const maxRows = 30_000;
/** Nodes of a branch that is worth looking at as a whole. */
const branchNodes = 6;
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
    const { bytes, depths, ends, order, firsts, sets } = this.#trie;
    const { table, states } = this.#automaton;
    const { classOf, classes } = table;
    const { mask, exits, finals } = this;
    const path = this.#path;
    let end = this.#end;
    let { next: transitions, flags, runSets, runNext } = table; // filling may replace them
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
      const from = path[depth] as number;
      const branchEnd = ends[node] as number;
      if (branchEnd - node >= branchNodes) {
        const isKnown = ((flags[from] as number) & flag.hasRun) !== 0;
        if (!isKnown || ((sets[node] as number) & ~(runSets[from] as number)) === 0) {
          this.#node = node; // where to go on if that pauses
          const takesAll = (isKnown && runNext[from] === from) || this.#takes(from, node);
          if (table.flags !== flags) ({ next: transitions, flags, runSets, runNext } = table);
          if (takesAll) {
            this.#addBranch(node, from);
            node = branchEnd;
            continue;
          }
        }
      }
      const next = transitions[from * classes + (classOf[bytes[node] as number] as number)] as number;
      if (next === dead) {
        node = branchEnd;
        continue;
      }
      const flagged = flags[next] as number;
      if ((flagged & flag.doubtful) !== 0) {
        this.doubts.push(node);
        node = branchEnd;
        continue;
      }
      const first = firsts[node] as number;
      const behind = firsts[node + 1] as number;
      for (let i = first; i < behind; i++) {
        const id = order[i] as number;
        mask[id >> 5] = (mask[id >> 5] as number) | (1 << (id & 31));
      }
      const ended = flag.accepting | flag.final;
      if (behind > first && (flagged & ended) === ended) finals.push(node);
      if (branchEnd > node + 1) {
        path[depth + 1] = next;
        if ((flagged & flag.filled) === 0) {
          this.#node = node; // where to go on if that pauses
          this.#fill(states[next] as GrammarState);
          if (this.#rows > maxRows) throw tooMany();
          ({ next: transitions, flags, runSets, runNext } = table);
          looked = nodesPerLook; // that may have taken long
        }
        if ((flagged & flag.accepting) !== 0) exits.push(node);
      }
      node++;
    }
    this.#node = node;
    return node >= end && this.#nextExit >= this.#exits.length;
  }

  /** All tokens of a branch that a state takes. */
  #addBranch(node: number, from: number): void {
    const { ends, order, firsts } = this.#trie;
    const { mask, exits } = this;
    const end = ends[node] as number;
    const last = firsts[end] as number;
    for (let i = firsts[node] as number; i < last; i++) {
      const id = order[i] as number;
      mask[id >> 5] = (mask[id >> 5] as number) | (1 << (id & 31));
    }
    if (!this.#automaton.table.is(from, flag.accepting)) return;
    for (let at = node; at < end; at++) if ((ends[at] as number) > at + 1) exits.push(at);
  }

  /** Works out where a state leads. */
  #fill(state: GrammarState): void {
    this.#counted(() => this.#automaton.fill(state, this.#slice));
  }

  #takes(from: number, node: number): boolean {
    const { sets, heights } = this.#trie;
    return this.#counted(() =>
      this.#automaton.takes(from, sets[node] as number, heights[node] as number, this.#slice),
    );
  }

  #counted<T>(work: () => T): T {
    const before = rowsSoFar();
    try {
      return work();
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
