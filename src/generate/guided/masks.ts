// Which tokens a state allows: the tree of the vocabulary is walked with the automaton, once per state. Inside a shared part
// the tokens that stay inside are known already, and only what follows its end is walked. A walk may take long, so it is made
// in slices: all masks that are being made take turns, with a turn of the event loop in between.

import { nextTurn } from '../../base/turn.ts';
import type { Automaton } from './automaton.ts';
import type { GrammarState, Part, TextsPart } from './live.ts';
import { TimeSlice } from './patience.ts';
import { walkTexts } from './text-walk.ts';
import { nodeAt, pathTo, type Trie } from './trie.ts';
import { Walk } from './walk.ts';

/** Bytes of masks kept per vocabulary; beyond it they are forgotten and made again when needed. */
const budget = 64 << 20;

/** Milliseconds that masks may take of one turn of the event loop. */
const sliceMs = 4;

interface PartMask {
  readonly mask: Int32Array;
  /** Nodes of the tree at which the part may have ended, with more of a token to come. */
  readonly exits: readonly number[];
  /** Nodes with a token at which the part has ended and cannot go on. */
  readonly finals: readonly number[];
}

/** A mask that is being made: a generator that pauses when its slice is over. */
type Making<T = Int32Array> = Generator<void, T, void>;

class Waiting {
  readonly state: GrammarState;
  readonly making: Making;
  readonly slice: TimeSlice;
  readonly made: Promise<Int32Array>;
  /** Generations that wait for it. */
  wanted = 1;
  resolve: (made: Int32Array) => void = () => undefined;
  reject: (error: unknown) => void = () => undefined;

  constructor(state: GrammarState, making: Making, slice: TimeSlice) {
    this.state = state;
    this.making = making;
    this.slice = slice;
    this.made = new Promise((resolve, reject) => {
      this.resolve = resolve;
      this.reject = reject;
    });
  }
}

/** The masks of all automata over one vocabulary. */
export class Masks {
  readonly #tries: readonly Trie[];
  readonly #words: number;
  #kept = new Map<Trie, WeakMap<Automaton, Map<GrammarState, PartMask>>>();
  #keptBytes = 0;
  readonly #pending = new Map<GrammarState, Waiting>();
  readonly #queue: Waiting[] = [];
  #running = false;
  /** Milliseconds that callers have waited for masks in this turn of the event loop. */
  #spent = 0;

  constructor(tries: readonly Trie[], vocabSize: number) {
    this.#tries = tries;
    this.#words = Math.ceil(vocabSize / 32);
  }

  /** Bit `id & 31` of word `id >> 5` is set when the token may come next. End tokens are not part of it. */
  of(automaton: Automaton, state: GrammarState): Int32Array {
    const making = this.#whole(automaton, state, new TimeSlice());
    for (let step = making.next(); ; step = making.next()) if (step.done === true) return step.value;
  }

  /**
   * The same, at once when it is known or made soon, and else when it is made, in slices. Who no longer waits for it says so
   * by `forget`.
   */
  prepare(automaton: Automaton, state: GrammarState): Int32Array | Promise<Int32Array> {
    const pending = this.#pending.get(state);
    if (pending) {
      pending.wanted++;
      return pending.made;
    }
    const slice = new TimeSlice();
    const making = this.#whole(automaton, state, slice);
    const soon = this.#now(making, slice);
    if (soon) return soon;
    const waiting = new Waiting(state, making, slice);
    this.#pending.set(state, waiting);
    this.#queue.push(waiting);
    void this.#run();
    return waiting.made;
  }

  /** A generation that waited for a mask does not any more. One that nobody waits for is not made further. */
  forget(state: GrammarState): void {
    const pending = this.#pending.get(state);
    if (pending && --pending.wanted <= 0) this.#pending.delete(state);
  }

  /** What can be made with the time that is left of this turn. */
  #now(making: Making, slice: TimeSlice): Int32Array | undefined {
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
      if (next.wanted <= 0) continue;
      next.slice.begin(sliceMs);
      try {
        const step = next.making.next();
        if (step.done !== true) {
          this.#queue.push(next);
          continue;
        }
        next.resolve(step.value);
      } catch (error) {
        next.reject(error);
      }
      if (this.#pending.get(next.state) === next) this.#pending.delete(next.state);
    }
    this.#running = false;
  }

  *#whole(automaton: Automaton, state: GrammarState, slice: TimeSlice): Making {
    const mask = new Int32Array(this.#words);
    for (const trie of this.#tries) add(mask, (yield* this.#of(trie, automaton, state, slice)).mask);
    return mask;
  }

  /** What a state allows depends on what is at most one token away. */
  *#of(trie: Trie, automaton: Automaton, exact: GrammarState, slice: TimeSlice): Making<PartMask> {
    const state = automaton.nearly(exact, trie.maxDepth + 1);
    const byAutomaton = this.#kept.get(trie) ?? new WeakMap<Automaton, Map<GrammarState, PartMask>>();
    this.#kept.set(trie, byAutomaton);
    const known = byAutomaton.get(automaton)?.get(state);
    if (known) return known;
    const made = yield* this.#make(trie, automaton, state, slice);
    const bytes = made.mask.byteLength + 8 * (made.exits.length + made.finals.length);
    this.#keptBytes += bytes;
    if (this.#keptBytes > budget) {
      this.#kept = new Map();
      this.#keptBytes = 0;
      return made;
    }
    const kept = byAutomaton.get(automaton) ?? new Map<GrammarState, PartMask>();
    byAutomaton.set(automaton, kept.set(state, made));
    return made;
  }

  /** A token may come next when one of the ways to go on allows it. */
  *#make(trie: Trie, automaton: Automaton, state: GrammarState, slice: TimeSlice): Making<PartMask> {
    const { plain, parts, texts } = automaton.split(state);
    const walk = new Walk(trie, automaton, new Int32Array(this.#words), slice);
    if (plain) {
      walk.begin(plain, 0, trie.bytes.length);
      while (!walk.go()) yield;
    }
    for (const part of parts) yield* this.#addPart(trie, walk, part, slice);
    for (const part of texts) yield* addTexts(trie, walk, part, slice);
    yield* verify(trie, automaton, state, walk, slice);
    return { mask: walk.mask, exits: walk.exits, finals: walk.finals };
  }

  *#addPart(trie: Trie, walk: Walk, part: Part, slice: TimeSlice): Making<void> {
    const { automaton, state, after } = part;
    const inner = yield* this.#of(trie, automaton, state, slice);
    const refused = refusedNodes(trie, inner, part);
    if (refused.size > 0) {
      const mask = inner.mask.slice();
      for (const node of inner.finals) if (refused.has(node)) removeTokens(trie, mask, node);
      add(walk.mask, mask);
    } else add(walk.mask, inner.mask);
    if (after.items.length === 0 && !after.accepting) return;
    const exits = refused.size > 0 ? inner.exits.filter((node) => !refused.has(node)) : inner.exits;
    if (after.accepting) {
      if (after.items.length === 0) for (const node of inner.finals) walk.finals.push(node);
      for (const node of exits) walk.exits.push(node);
    }
    walk.beginAfter(after, exits);
    while (!walk.go()) yield;
  }
}

/** The tokens that stay in given texts, and those that go on after one of them. */
function* addTexts(trie: Trie, walk: Walk, part: TextsPart, slice: TimeSlice): Making<void> {
  const { exits, finals } = yield* walkTexts(trie, part, walk.mask, slice);
  for (const node of finals) walk.finals.push(node);
  for (const [after, nodes] of exits) {
    if (after.accepting) for (const node of nodes) walk.exits.push(node);
    if (after.items.length === 0) continue;
    walk.beginAfter(after, nodes);
    while (!walk.go()) yield;
  }
}

/** Follows the tokens below doubtful nodes byte by byte: those that hold all of a part whose text matters. */
function* verify(
  trie: Trie,
  automaton: Automaton,
  from: GrammarState,
  walk: Walk,
  slice: TimeSlice,
): Making<void> {
  const { bytes, depths, ends, tokens, same } = trie;
  for (const top of new Set(walk.doubts)) {
    const path: (GrammarState | undefined)[] = [from];
    const above = pathTo(trie, top);
    for (let i = 0; i + 1 < above.length; i++) path.push(stepFrom(automaton, path[i], above.charCodeAt(i)));
    for (let node = top; node < (ends[top] as number); ) {
      if (slice.over) yield;
      const depth = depths[node] as number;
      const state = stepFrom(automaton, path[depth], bytes[node] as number);
      if (!state) {
        node = ends[node] as number;
        continue;
      }
      path[depth + 1] = state;
      const token = tokens[node] as number;
      for (let id = token; id >= 0; id = same[id] as number) {
        walk.mask[id >> 5] = (walk.mask[id >> 5] as number) | (1 << (id & 31));
      }
      if (token >= 0 && state.accepting && state.items.length === 0) walk.finals.push(node);
      if (state.accepting && (ends[node] as number) > node + 1) walk.exits.push(node);
      node++;
    }
  }
}

const stepFrom = (
  automaton: Automaton,
  state: GrammarState | undefined,
  byte: number,
): GrammarState | undefined => state && automaton.step(state, byte);

/** Nodes at which a part may not end, though its automaton may. */
function refusedNodes(trie: Trie, { exits, finals }: PartMask, part: Part): ReadonlySet<number> {
  const { allowed, refused = [] } = part;
  const nodes = new Set(refused.map((path) => nodeAt(trie, path)));
  if (allowed) {
    for (const list of [exits, finals])
      for (const node of list) if (!allowed(pathTo(trie, node))) nodes.add(node);
  }
  nodes.delete(-1);
  return nodes;
}

function add(mask: Int32Array, more: Int32Array): void {
  for (let i = 0; i < more.length; i++) mask[i] = (mask[i] as number) | (more[i] as number);
}

function removeTokens({ tokens, same }: Trie, mask: Int32Array, node: number): void {
  for (let id = tokens[node] as number; id >= 0; id = same[id] as number) {
    mask[id >> 5] = (mask[id >> 5] as number) & ~(1 << (id & 31));
  }
}
