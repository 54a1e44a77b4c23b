// Follows a term byte by byte. A state is the set of all ways the text so far may go on, each a stack of terms that are
// still to come. States are made when a text first reaches them, and kept, with their transitions in a table.
// The derivatives are Antimirov's: https://doi.org/10.1016/0304-3975(95)00182-4, with a stack for recursion.

import { IngotError } from '../../base/errors.ts';
import { barren, type Machine, oneLess, type Ranges, reachable, type Term } from './term.ts';

/** Terms still to come, the first on top. The bottom of all stacks is an accepted text. */
interface Stack {
  readonly id: number;
  readonly head: Term | Live;
  readonly rest: Stack | undefined;
  readonly above: Map<Term | Live, Stack>;
}

/** A part of the text that several automata follow at once, or one machine. */
type Live =
  | LiveBoth
  | { readonly kind: 'live-not'; readonly inner: State }
  | { readonly kind: 'live-machine'; readonly machine: Machine }
  | LiveShared;

interface LiveShared {
  readonly kind: 'live-shared';
  readonly automaton: Automaton;
  readonly state: State;
}

interface LiveBoth {
  readonly kind: 'live-both';
  readonly left: State;
  readonly right: State;
  /** Known to be able to end, or not to. */
  alive?: boolean;
  /** How far the search for that is. */
  search?: { readonly from: Map<LiveBoth, LiveBoth | undefined>; readonly todo: LiveBoth[] } | undefined;
}

/** Says when work should pause. */
export interface Patience {
  readonly over: boolean;
}

/** Thrown by `fill` when its patience is over; the next call goes on where it paused. */
export const paused = Symbol('paused');

export interface State {
  readonly id: number;
  /** The text may end here. */
  readonly accepting: boolean;
  /** Stacks whose head reads a byte. None: the text cannot go on. */
  readonly items: readonly Stack[];
}

/** A state that is somewhere in a shared part, and nowhere else. */
export interface InPart {
  readonly automaton: Automaton;
  /** Where in the part. */
  readonly state: State;
  /** Where the text is once the part has ended. */
  readonly after: State;
}

/** In a transition table: no text goes on like this. */
export const dead = -1;

/** A state with more ways to go on than this is a grammar that cannot be followed in time. */
const maxItems = 1024;
/** States looked at to see whether an intersection can still end. */
const maxSearch = 2000;

const sharedAutomata = new WeakMap<Term, Automaton>();

function sharedAutomaton(term: Term): Automaton {
  let known = sharedAutomata.get(term);
  if (!known) {
    known = new Automaton(term);
    sharedAutomata.set(term, known);
  }
  return known;
}

let automata = 0;

export class Automaton {
  readonly id = automata++;
  readonly start: State;
  /** Bytes of one class are alike to the grammar. */
  readonly classOf: Uint8Array;
  readonly classes: number;
  /** By state and class, `state.id * classes + class`: the id of the next state, or `dead`. Rows are filled by `fill`. */
  table: Int32Array;
  readonly states: State[] = [];
  /** Ids of states whose row is there. */
  readonly #filled = new Set<number>();
  readonly #classBytes: readonly number[];
  readonly #bottom: Stack;
  readonly #barren: ReadonlySet<Term | Live>;
  readonly #byKey = new Map<string, State>();
  readonly #lives = new Map<string, Live>();
  readonly #starts = new Map<Term, State>();
  readonly #dead: State;
  #stacks = 0;

  constructor(root: Term) {
    this.classOf = classesOf(root);
    const representative: number[] = [];
    this.classOf.forEach((c, byte) => {
      representative[c] ??= byte;
    });
    this.#classBytes = representative;
    this.classes = representative.length;
    this.table = new Int32Array(64 * this.classes);
    this.#barren = barren(root);
    this.#bottom = this.#newStack({ kind: 'empty' }, undefined);
    this.#dead = this.#intern([], false);
    this.start = this.#startOf(root);
  }

  /** How much has been made so far; what decides when to begin anew. */
  get size(): number {
    return this.#stacks + this.states.length;
  }

  /** The state after a byte; undefined when no text goes on like this. */
  step(state: State, byte: number, patience?: Patience): State | undefined {
    this.fill(state, patience);
    return this.states[this.#next(state, this.classOf[byte] ?? 0)];
  }

  /**
   * Works out where each class of bytes leads from a state. False when that was known.
   * @throws `paused` when the patience is over before that.
   */
  fill(state: State, patience?: Patience): boolean {
    if (this.#filled.has(state.id)) return false;
    this.#filled.add(state.id);
    try {
      this.#fillRow(state, patience);
    } catch (error) {
      this.#filled.delete(state.id);
      throw error;
    }
    return true;
  }

  #fillRow(state: State, patience: Patience | undefined): void {
    const groups = new Map<string, number[]>();
    const after = state.items.map((item) => this.#itemRow(item, patience));
    for (let c = 0; c < this.classes; c++) {
      let key = '';
      for (const row of after) key += `${row[c]?.id ?? ''},`;
      const group = groups.get(key);
      if (group) group.push(c);
      else groups.set(key, [c]);
    }
    for (const group of groups.values()) {
      const [first = 0] = group;
      const stacks = after.map((row) => row[first]).filter((stack) => stack !== undefined);
      const next = stacks.length === 0 ? this.#dead : this.#close(stacks);
      const id = next.items.length === 0 && !next.accepting ? dead : next.id;
      for (const c of group) this.table[state.id * this.classes + c] = id;
    }
  }

  #next(state: State, byteClass: number): number {
    return this.table[state.id * this.classes + byteClass] ?? dead;
  }

  /** What an item becomes, by class of the byte it reads. */
  #itemRow({ head, rest }: Stack, patience: Patience | undefined): readonly (Stack | undefined)[] {
    const below = rest ?? this.#bottom;
    switch (head.kind) {
      case 'bytes':
        return this.#classBytes.map((byte) => (inRanges(head.ranges, byte) ? below : undefined));
      case 'live-both': {
        this.fill(head.left, patience);
        this.fill(head.right, patience);
        return this.#classBytes.map((_, c) => {
          const live = this.#bothAfter(head, c);
          return live && this.#isAlive(live, patience) ? this.#push(below, live) : undefined;
        });
      }
      case 'live-not':
        this.fill(head.inner, patience);
        return this.#classBytes.map((_, c) =>
          this.#push(below, this.#liveNot(this.states[this.#next(head.inner, c)] ?? this.#dead)),
        );
      case 'live-machine':
        return this.#classBytes.map((byte) => {
          const machine = head.machine.step(byte);
          return machine && this.#push(below, this.#liveMachine(machine));
        });
      case 'live-shared':
        return this.#classBytes.map((byte) => {
          const state = head.automaton.step(head.state, byte, patience);
          return state && this.#push(below, this.#liveShared(head.automaton, state));
        });
      default:
        return [];
    }
  }

  /** What Masks needs to know so that it can use the masks of a shared part. */
  inPart(state: State): InPart | undefined {
    const [item, second] = state.items;
    if (item?.head.kind !== 'live-shared' || second || state.accepting) return undefined;
    const { automaton, state: inner } = item.head;
    return { automaton, state: inner, after: this.#close([item.rest ?? this.#bottom]) };
  }

  #bothAfter(live: LiveBoth, byteClass: number): LiveBoth | undefined {
    const left = this.states[this.#next(live.left, byteClass)];
    const right = left && this.states[this.#next(live.right, byteClass)];
    return left && right && this.#liveBoth(left, right);
  }

  /** The state of all stacks that read a byte next, when any of `from` may be what is to come. */
  #close(from: readonly Stack[]): State {
    const seen = new Set<Stack>();
    const items: Stack[] = [];
    const todo = [...from];
    for (let stack = todo.pop(); stack !== undefined; stack = todo.pop()) {
      if (seen.has(stack)) continue;
      seen.add(stack);
      if (seen.size > maxItems) {
        throw new IngotError('unsupported', `a grammar has more than ${maxItems} ways to go on at one place`);
      }
      if (stack === this.#bottom) continue;
      if (this.#expand(stack, todo)) items.push(stack);
    }
    return this.#intern(items, seen.has(this.#bottom));
  }

  /** Puts what a stack stands for on `todo`. True when its head reads a byte itself. */
  #expand({ head, rest }: Stack, todo: Stack[]): boolean {
    const below = rest ?? this.#bottom;
    if (this.#barren.has(head)) return false;
    switch (head.kind) {
      case 'bytes':
        return true;
      case 'empty':
        todo.push(below);
        return false;
      case 'seq':
        todo.push(this.#push(this.#push(below, head.second), head.first));
        return false;
      case 'alt':
        for (const option of head.options) todo.push(this.#push(below, option));
        return false;
      case 'repeat':
        if (head.min === 0) todo.push(below);
        todo.push(this.#push(this.#push(below, oneLess(head)), head.part));
        return false;
      case 'rule':
        todo.push(this.#push(below, head.rule.term));
        return false;
      case 'both':
        todo.push(this.#push(below, this.#liveBoth(this.#startOf(head.left), this.#startOf(head.right))));
        return false;
      case 'not':
        todo.push(this.#push(below, this.#liveNot(this.#startOf(head.term))));
        return false;
      case 'machine':
        todo.push(this.#push(below, this.#liveMachine(head.start)));
        return false;
      case 'shared': {
        const automaton = sharedAutomaton(head.term);
        todo.push(this.#push(below, this.#liveShared(automaton, automaton.start)));
        return false;
      }
      case 'live-shared':
        if (head.state.accepting) todo.push(below);
        return head.state.items.length > 0;
      case 'live-both':
        if (head.left.accepting && head.right.accepting) todo.push(below);
        return head.left.items.length > 0 && head.right.items.length > 0;
      case 'live-not':
        if (!head.inner.accepting) todo.push(below);
        return true;
      case 'live-machine':
        if (head.machine.accepting) todo.push(below);
        return true;
      case 'never':
        return false;
    }
  }

  #startOf(term: Term): State {
    const known = this.#starts.get(term);
    if (known === this.#dead)
      throw new IngotError('invalid_argument', 'a grammar is defined by itself alone');
    if (known) return known;
    this.#starts.set(term, this.#dead);
    const made = this.#close([this.#push(this.#bottom, term)]);
    this.#starts.set(term, made);
    return made;
  }

  #intern(items: Stack[], accepting: boolean): State {
    items.sort((a, b) => a.id - b.id);
    const key = `${accepting ? '+' : '-'}${items.map(({ id }) => id).join()}`;
    let state = this.#byKey.get(key);
    if (!state) {
      state = { id: this.states.length, accepting, items };
      this.states.push(state);
      this.#byKey.set(key, state);
      if (this.states.length * this.classes > this.table.length) {
        const larger = new Int32Array(this.table.length * 2);
        larger.set(this.table);
        this.table = larger;
      }
    }
    return state;
  }

  #push(rest: Stack, head: Term | Live): Stack {
    let stack = rest.above.get(head);
    if (!stack) {
      stack = this.#newStack(head, rest);
      rest.above.set(head, stack);
    }
    return stack;
  }

  #newStack(head: Term | Live, rest: Stack | undefined): Stack {
    return { id: this.#stacks++, head, rest, above: new Map() };
  }

  #live<T extends Live>(key: string, make: () => T): T {
    let live = this.#lives.get(key);
    if (!live) {
      live = make();
      this.#lives.set(key, live);
    }
    return live as T;
  }

  #liveBoth(left: State, right: State) {
    return this.#live(`&${left.id},${right.id}`, () => ({ kind: 'live-both' as const, left, right }));
  }

  #liveNot(inner: State) {
    return this.#live(`!${inner.id}`, () => ({ kind: 'live-not' as const, inner }));
  }

  #liveMachine(machine: Machine) {
    return this.#live(`m${machine.key}`, () => ({ kind: 'live-machine' as const, machine }));
  }

  #liveShared(automaton: Automaton, state: State) {
    return this.#live(`s${automaton.id},${state.id}`, () => ({
      kind: 'live-shared' as const,
      automaton,
      state,
    }));
  }

  /**
   * Whether two automata can still end together; an intersection may have become empty without a byte telling. Looks
   * depth first, and remembers what it learns of the states on its way.
   */
  #isAlive(start: LiveBoth, patience: Patience | undefined): boolean {
    if (start.alive !== undefined) return start.alive;
    start.search ??= { from: new Map([[start, undefined]]), todo: [start] };
    const { from, todo } = start.search;
    for (let live = todo.at(-1); live !== undefined; live = todo.at(-1)) {
      if (live.alive === false) {
        todo.pop();
        continue;
      }
      if (live.alive === true || (live.left.accepting && live.right.accepting)) {
        for (let on: LiveBoth | undefined = live; on !== undefined; on = from.get(on)) on.alive = true;
        start.search = undefined;
        return true;
      }
      if (from.size > maxSearch) return true;
      if (patience?.over === true) throw paused;
      this.fill(live.left, patience);
      this.fill(live.right, patience);
      todo.pop();
      this.#visit(live, start.search);
    }
    for (const live of from.keys()) live.alive = false;
    start.search = undefined;
    return false;
  }

  /** What comes after `live` and was not looked at is to be looked at. */
  #visit(live: LiveBoth, { from, todo }: NonNullable<LiveBoth['search']>): void {
    for (let c = 0; c < this.classes; c++) {
      const next = this.#bothAfter(live, c);
      if (!next || from.has(next)) continue;
      from.set(next, live);
      todo.push(next);
    }
  }
}

/** Whether a text matches a term. */
export function matches(term: Term, text: string): boolean {
  const automaton = new Automaton(term);
  let state: State | undefined = automaton.start;
  for (const byte of new TextEncoder().encode(text)) state = state && automaton.step(state, byte);
  return state?.accepting ?? false;
}

const inRanges = (ranges: Ranges, byte: number): boolean =>
  ranges.some(([low, high]) => low <= byte && byte <= high);

/** Numbers the classes of bytes that no term and no machine below `root` tells apart. */
function classesOf(root: Term): Uint8Array {
  const borders = new Set([0]);
  for (const term of reachable(root)) {
    if (term.kind === 'bytes') for (const [low, high] of term.ranges) borders.add(low).add(high + 1);
    if (term.kind === 'machine') {
      for (const char of term.start.alphabet) borders.add(char.charCodeAt(0)).add(char.charCodeAt(0) + 1);
    }
  }
  const classes = new Uint8Array(256);
  let current = -1;
  for (let byte = 0; byte < 256; byte++) {
    if (borders.has(byte)) current++;
    classes[byte] = current;
  }
  return classes;
}
