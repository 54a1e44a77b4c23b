// Which tokens a state allows: the tree of the vocabulary is walked with the automaton, once per state. Inside a shared part
// the tokens that stay inside are known already, and only what follows its end is walked. A walk may take long, so it is made
// in slices: all masks that are being made take turns, with a turn of the event loop in between.

import { IngotError } from '../../base/errors.ts';
import { nextTurn } from '../../base/turn.ts';
import { type Automaton, dead, type Patience, paused, type State } from './automaton.ts';
import type { Trie } from './trie.ts';

/** Bytes of masks kept per automaton; beyond it they are forgotten and made again when needed. */
const budget = 32 << 20;

/** New states that one mask may need: more means a grammar with too many ways to read one text. */
const maxNewStates = 20_000;

/** Milliseconds that masks may take of one turn of the event loop. */
const sliceMs = 4;
/** Nodes of the tree between looks at the clock. */
const nodesPerLook = 2048;

interface PartMask {
  readonly mask: Int32Array;
  /** Nodes of the tree at which the part may have ended, with more of a token to come. */
  readonly exits: readonly number[];
}

/** Says when the present slice of work is over. */
class Slice implements Patience {
  #end = Number.POSITIVE_INFINITY;

  begin(ms: number): void {
    this.#end = performance.now() + ms;
  }
  get over(): boolean {
    return performance.now() > this.#end;
  }
}

/** A mask that is being made: a generator that pauses when its slice is over. */
type Making = Generator<void, PartMask, void>;

interface Waiting {
  readonly making: Making;
  readonly slice: Slice;
  readonly resolve: (made: PartMask) => void;
  readonly reject: (error: unknown) => void;
}

/** The masks of all automata over one vocabulary. */
export class Masks {
  readonly #trie: Trie;
  readonly #kept = new WeakMap<Automaton, Map<State, PartMask>>();
  readonly #pending = new Map<State, Promise<PartMask>>();
  readonly #queue: Waiting[] = [];
  #running = false;
  /** Milliseconds that callers have waited for masks in this turn of the event loop. */
  #spent = 0;

  constructor(trie: Trie) {
    this.#trie = trie;
  }

  /** Bit `id & 31` of word `id >> 5` is set when the token may come next. End tokens are not part of it. */
  of(automaton: Automaton, state: State): Int32Array {
    const making = this.#of(automaton, state, new Slice());
    for (let step = making.next(); ; step = making.next()) if (step.done === true) return step.value.mask;
  }

  /** The same, at once when it is known or made soon, and else when it is made, in slices. */
  prepare(automaton: Automaton, state: State): Int32Array | Promise<Int32Array> {
    const known = this.#kept.get(automaton)?.get(state);
    if (known) return known.mask;
    let pending = this.#pending.get(state);
    if (!pending) {
      const slice = new Slice();
      const making = this.#of(automaton, state, slice);
      const soon = this.#now(making, slice);
      if (soon) return soon.mask;
      pending = new Promise((resolve, reject) => {
        this.#queue.push({ making, slice, resolve, reject });
      });
      this.#pending.set(state, pending);
      const forget = (): void => void this.#pending.delete(state);
      pending.then(forget, forget);
      void this.#run();
    }
    return pending.then(({ mask }) => mask);
  }

  /** What can be made with the time that is left of this turn. */
  #now(making: Making, slice: Slice): PartMask | undefined {
    if (this.#spent >= sliceMs) return undefined;
    if (this.#spent === 0) {
      void nextTurn().then(() => {
        this.#spent = 0;
      });
    }
    slice.begin(sliceMs - this.#spent);
    const start = performance.now();
    try {
      const step = making.next();
      return step.done === true ? step.value : undefined;
    } finally {
      // More than nothing, also for a clock that stood still: the turn that resets it is under way.
      this.#spent += Math.max(performance.now() - start, 1e-3);
    }
  }

  /** One slice of one mask per turn. */
  async #run(): Promise<void> {
    if (this.#running) return;
    this.#running = true;
    for (let next = this.#queue.shift(); next !== undefined; next = this.#queue.shift()) {
      await nextTurn();
      next.slice.begin(sliceMs);
      try {
        const step = next.making.next();
        if (step.done === true) next.resolve(step.value);
        else this.#queue.push(next);
      } catch (error) {
        next.reject(error);
      }
    }
    this.#running = false;
  }

  *#of(automaton: Automaton, state: State, slice: Slice): Making {
    const kept = this.#kept.get(automaton) ?? new Map<State, PartMask>();
    this.#kept.set(automaton, kept);
    const known = kept.get(state);
    if (known) return known;
    const words = Math.ceil(this.#trie.vocabSize / 32);
    const made = yield* this.#make(automaton, state, words, slice);
    if ((kept.size + 1) * words * 4 > budget) kept.clear();
    kept.set(state, made);
    return made;
  }

  *#make(automaton: Automaton, state: State, words: number, slice: Slice): Making {
    const { ends, bytes } = this.#trie;
    const exits: number[] = [];
    const part = automaton.inPart(state);
    if (!part) {
      const mask = new Int32Array(words);
      const walk = new Walk(this.#trie, automaton, { mask, exits, slice });
      walk.begin(state, 0, bytes.length);
      while (!walk.go()) yield;
      return { mask, exits };
    }
    const inner = yield* this.#of(part.automaton, part.state, slice);
    const mask = inner.mask.slice();
    const walk = new Walk(this.#trie, automaton, { mask, exits, slice });
    for (const exit of inner.exits) {
      if (part.after.accepting) exits.push(exit);
      walk.begin(part.after, exit + 1, ends[exit] ?? 0);
      while (!walk.go()) yield;
    }
    return { mask, exits };
  }
}

interface WalkParts {
  readonly mask: Int32Array;
  readonly exits: number[];
  readonly slice: Slice;
}

/** Walks the tree with an automaton, and stops where its slice is over, to go on from there. */
class Walk {
  readonly #trie: Trie;
  readonly #automaton: Automaton;
  readonly #parts: WalkParts;
  /** States above the present node, by depth. */
  readonly #path: Int32Array;
  /** Not filled yet. */
  #start: State | undefined;
  #node = 0;
  #end = 0;
  #made = 0;

  constructor(trie: Trie, automaton: Automaton, parts: WalkParts) {
    this.#trie = trie;
    this.#automaton = automaton;
    this.#parts = parts;
    this.#path = new Int32Array(trie.maxDepth + 2);
  }

  /** The nodes from `begin` to `end`, the branches of one node, with the automaton in `start` above them. */
  begin(start: State, begin: number, end: number): void {
    this.#node = begin;
    this.#end = end;
    this.#path[this.#trie.depths[begin] as number] = start.id;
    this.#start = start;
  }

  /** False when there is more to do. */
  go(): boolean {
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
    const { mask, exits, slice } = this.#parts;
    const path = this.#path;
    const end = this.#end;
    let { table } = this.#automaton; // filling may replace it
    let looked = 0;
    let node = this.#node;
    for (; node < end; looked++) {
      if (looked >= nodesPerLook) {
        looked = 0;
        if (slice.over) break;
      }
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
        const state = states[next] as State;
        path[depth + 1] = next;
        this.#node = node; // where to go on if that pauses
        if (this.#fill(state)) {
          table = this.#automaton.table;
          looked = nodesPerLook; // that may have taken long
        }
        if (state.accepting) exits.push(node);
      }
      node++;
    }
    this.#node = node;
    return node >= end;
  }

  /** Works out where a state leads; true when that was not known. */
  #fill(state: State): boolean {
    const { states } = this.#automaton;
    const before = states.length;
    const worked = this.#automaton.fill(state, this.#parts.slice);
    this.#made += states.length - before;
    if (this.#made > maxNewStates) throw tooMany();
    return worked;
  }
}

const tooMany = (): IngotError =>
  new IngotError(
    'unsupported',
    `the grammar has more than ${maxNewStates} states within one token; bound its repetitions closer, or anchor its patterns`,
  );
