// Follows a term byte by byte. A state is the set of all ways the text so far may go on, each a stack of terms that are
// still to come. States are made when a text first reaches them, and kept, with their transitions in a table.
// The derivatives are Antimirov's: https://doi.org/10.1016/0304-3975(95)00182-4, with a stack for recursion.

import { IngotError } from '../../base/errors.ts';
import { type Analysis, analyse } from './analysis.ts';
import type { GrammarState, Live, LiveBoth, LiveRecorded, Part, Stack } from './live.ts';
import { isAlive, Lives } from './lives.ts';
import type { Patience } from './patience.ts';
import { nearly, oneLess, type Ranges, type Term } from './term.ts';

/** In a transition table: no text goes on like this. */
export const dead = -1;

/** A state with more ways to go on than this is a grammar that cannot be followed in time. */
const maxItems = 1024;
/** Size of an automaton after which it begins anew: a long text may meet ever new states. */
const maxSize = 200_000;

const sharedAutomata = new WeakMap<Term, Automaton>();

/** The automaton that follows a part of grammars, for all of them. */
function sharedAutomaton(family: Term): Automaton {
  let known = sharedAutomata.get(family);
  if (!known || known.isLarge) {
    known = Automaton.of(family);
    sharedAutomata.set(family, known);
  }
  return known;
}

let automata = 0;

/** Rows that were worked out, of all automata: what following a grammar has cost so far. */
let rows = 0;
export const rowsSoFar = (): number => rows;

export class Automaton {
  readonly id = automata++;
  readonly start: GrammarState;
  /** Bytes of one class are alike to the grammar. */
  readonly classOf: Uint8Array;
  readonly classes: number;
  /**
   * By state and class, `state.id * classes + class`: the id of the next state, or `dead`. Rows are filled by `fill`. In parts
   * whose text is recorded, this goes no further than a doubtful state at their end; `step` does.
   */
  table: Int32Array;
  readonly states: GrammarState[] = [];
  /** Ids of states whose row is there. */
  readonly #filled = new Set<number>();
  readonly #classBytes: readonly number[];
  readonly #bottom: Stack;
  readonly #barren: ReadonlySet<Term | Live>;
  readonly #byKey = new Map<string, GrammarState>();
  readonly #lives = new Lives();
  readonly #inRanges = new Map<Ranges, readonly boolean[]>();
  readonly #starts = new Map<Term, GrammarState>();
  /** Terms whose start is being worked out. */
  readonly #starting = new Set<Term>();
  readonly #near = new Map<number, Map<GrammarState, GrammarState>>();
  readonly #dead: GrammarState;
  #stacks = 0;

  constructor(root: Term, { classOf, barren }: Analysis) {
    this.classOf = classOf;
    const representative: number[] = [];
    this.classOf.forEach((c, byte) => {
      representative[c] ??= byte;
    });
    this.#classBytes = representative;
    this.classes = representative.length;
    this.table = new Int32Array(64 * this.classes);
    this.#barren = barren;
    this.#bottom = this.#newStack({ kind: 'empty' }, undefined);
    this.#dead = this.#intern([], false);
    this.start = this.startOf(root);
  }

  /** Of a small grammar, at once. */
  static of(root: Term): Automaton {
    const analysis = analyse(root);
    for (let step = analysis.next(); ; step = analysis.next()) {
      if (step.done === true) return new Automaton(root, step.value);
    }
  }

  /** So much has been made that it is time to begin anew. */
  get isLarge(): boolean {
    return this.#stacks + this.states.length > maxSize;
  }

  /** The state after a byte; undefined when no text goes on like this. */
  step(state: GrammarState, byte: number, patience?: Patience): GrammarState | undefined {
    if (state.items.some(({ head }) => head.kind === 'live-recorded')) return this.#exactStep(state, byte);
    this.fill(state, patience);
    return this.states[this.#next(state, this.classOf[byte] ?? 0)];
  }

  /**
   * Works out where each class of bytes leads from a state. False when that was known.
   * @throws `paused` when the patience is over before that.
   */
  fill(state: GrammarState, patience?: Patience): boolean {
    if (this.#filled.has(state.id)) return false;
    rows++;
    this.#filled.add(state.id);
    try {
      this.#fillRow(state, patience);
    } catch (error) {
      this.#filled.delete(state.id);
      throw error;
    }
    return true;
  }

  #fillRow(state: GrammarState, patience: Patience | undefined): void {
    const after = state.items.map((item) => this.#itemRow(item, patience));
    const [only, second] = after;
    const known = new Map<string | number, number>();
    const row = state.id * this.classes;
    for (let c = 0; c < this.classes; c++) {
      let key: string | number = only?.[c]?.id ?? -1;
      if (second) {
        key = '';
        for (const each of after) key += `${each[c]?.id ?? ''},`;
      }
      let next = known.get(key);
      if (next === undefined) {
        next = this.#after(after.map((each) => each[c]))?.id ?? dead;
        known.set(key, next);
      }
      this.table[row + c] = next;
    }
  }

  #after(stacks: readonly (Stack | undefined)[]): GrammarState | undefined {
    const there = stacks.filter((stack) => stack !== undefined);
    const next = there.length === 0 ? this.#dead : this.#close(there);
    return next.items.length === 0 && !next.accepting ? undefined : next;
  }

  #exactStep(state: GrammarState, byte: number): GrammarState | undefined {
    state.exact ??= new Map();
    const known = state.exact.get(byte);
    if (known) return known;
    const next = this.#after(
      state.items.map((item) => {
        const { head, rest } = item;
        if (head.kind !== 'live-recorded') return this.#itemRow(item, undefined)[this.classOf[byte] ?? 0];
        const live = this.#recordedAfter(head, byte);
        return live && this.#push(rest ?? this.#bottom, live);
      }),
    );
    state.exact.set(byte, next);
    return next;
  }

  #recordedAfter(live: LiveRecorded, byte: number): LiveRecorded | undefined {
    let next = live.next.get(byte);
    if (next) return next;
    const state = live.automaton.step(live.state, byte);
    if (!state) return undefined;
    next = { ...live, state, text: live.text + String.fromCharCode(byte), next: new Map() };
    live.next.set(byte, next);
    return state.items.length > 0 || next.recorded.allowed(next.text) ? next : undefined;
  }

  #next(state: GrammarState, byteClass: number): number {
    return this.table[state.id * this.classes + byteClass] ?? dead;
  }

  /** What an item becomes, by class of the byte it reads. */
  #itemRow({ head, rest }: Stack, patience: Patience | undefined): readonly (Stack | undefined)[] {
    const below = rest ?? this.#bottom;
    const each = (after: (byte: number, c: number) => Live | undefined) =>
      this.#classBytes.map((byte, c) => {
        const live = after(byte, c);
        return live && this.#push(below, live);
      });
    switch (head.kind) {
      case 'bytes':
        return this.#classesIn(head.ranges).map((isIn) => (isIn ? below : undefined));
      case 'live-both':
        return this.#bothRow(head, below, patience);
      case 'live-not':
        this.fill(head.inner, patience);
        return each((_, c) => this.#lives.not(this.states[this.#next(head.inner, c)] ?? this.#dead));
      case 'live-machine':
        return each((byte) => {
          const machine = head.machine.step(byte);
          return machine && this.#lives.machine(machine);
        });
      case 'live-branch':
        return each((byte) => {
          const place = head.branch.texts.step(head.place, byte);
          const some = place && head.branch.texts.some(place, (i) => head.branch.allowed(i));
          return some ? this.#lives.branch(head.branch, place) : undefined;
        });
      case 'live-shared':
        return each((byte) => {
          const state = head.automaton.step(head.state, byte, patience);
          return state && this.#lives.shared(head.automaton, state, head.sealed);
        });
      case 'live-except':
        return each((byte) => {
          const state = head.automaton.step(head.state, byte, patience);
          const place = head.except.texts.step(head.place, byte);
          if (!state || !place) return state && this.#lives.shared(head.automaton, state);
          const ends = state.items.length === 0 && head.except.texts.endOf(place) !== undefined;
          return ends ? undefined : this.#lives.except(head.except, head.automaton, state, place);
        });
      case 'live-recorded':
        return each((byte) => {
          const state = head.automaton.step(head.state, byte, patience);
          return state && this.#lives.shared(head.automaton, state, true);
        });
      default:
        return [];
    }
  }

  /** The ways to go on from a state: those in parts with an automaton of their own, and all others as one state. */
  split(state: GrammarState): { readonly plain: GrammarState | undefined; readonly parts: readonly Part[] } {
    const parts: Part[] = [];
    const plain: Stack[] = [];
    for (const item of state.items) {
      const part = this.#partOf(item);
      if (part) parts.push(part);
      else plain.push(item);
    }
    if (parts.length === 0) return { plain: state, parts };
    return { plain: plain.length > 0 ? this.#intern(plain, false) : undefined, parts };
  }

  #partOf({ head, rest }: Stack): Part | undefined {
    const below = rest ?? this.#bottom;
    switch (head.kind) {
      case 'live-shared':
        return {
          automaton: head.automaton,
          state: head.state,
          after: head.sealed ? this.#dead : this.#close([below]),
        };
      case 'live-except': {
        const { except, place, automaton, state } = head;
        const refused = except.texts.from(place);
        return { automaton, state, refused, after: this.#close([below]) };
      }
      case 'live-recorded': {
        const { recorded, text, automaton, state } = head;
        const after = this.#close([this.#push(below, recorded.next)]);
        return { automaton, state, allowed: (path) => recorded.allowed(text + path), after };
      }
      default:
        return undefined;
    }
  }

  /** A state that allows the same next `most` bytes; what is further away does not tell it from others. */
  nearly(state: GrammarState, most: number): GrammarState {
    let known = this.#near.get(most);
    if (!known) {
      known = new Map();
      this.#near.set(most, known);
    }
    let near = known.get(state);
    if (!near) {
      const items = new Set(state.items.map((item) => this.#nearStack(item, most)));
      const same = state.items.every((item) => items.has(item));
      near = same ? state : this.#intern([...items], state.accepting);
      known.set(state, near);
    }
    return near;
  }

  #nearStack(stack: Stack, most: number): Stack {
    const { head, rest } = stack;
    if (!rest) return stack;
    const known = stack.near?.get(most);
    if (known) return known;
    const below = this.#nearStack(rest, most);
    const near = this.#nearHead(head, most);
    const made = near === head && below === rest ? stack : this.#push(below, near);
    stack.near ??= new Map();
    stack.near.set(most, made);
    return made;
  }

  #nearHead(head: Term | Live, most: number): Term | Live {
    if (head.kind === 'repeat') return nearly(head, most);
    // How far the length reaches decides only whether some text is left, and `size` more characters are enough for that.
    if (head.kind === 'live-both' && head.size !== undefined && head.right.accepting) {
      return this.#lives.both(head.left, this.nearly(head.right, most + head.size), head.size);
    }
    return head;
  }

  /** Which classes of bytes are in some ranges. */
  #classesIn(ranges: Ranges): readonly boolean[] {
    let known = this.#inRanges.get(ranges);
    if (!known) {
      known = this.#classBytes.map((byte) => ranges.some(([low, high]) => low <= byte && byte <= high));
      this.#inRanges.set(ranges, known);
    }
    return known;
  }

  /** Few pairs of states follow on most bytes, and each is looked at once. */
  #bothRow(live: LiveBoth, below: Stack, patience: Patience | undefined): readonly (Stack | undefined)[] {
    this.fill(live.left, patience);
    this.fill(live.right, patience);
    const known = new Map<LiveBoth, Stack | undefined>();
    const row: (Stack | undefined)[] = [];
    for (let c = 0; c < this.classes; c++) {
      const next = this.#bothAfter(live, c);
      if (next && !known.has(next)) {
        known.set(
          next,
          isAlive(next, (each) => this.#bothAfterAll(each, patience), patience)
            ? this.#push(below, next)
            : undefined,
        );
      }
      row.push(next && known.get(next));
    }
    return row;
  }

  /** Where an intersection may be after one more byte. */
  #bothAfterAll(live: LiveBoth, patience: Patience | undefined): ReadonlySet<LiveBoth> {
    this.fill(live.left, patience);
    this.fill(live.right, patience);
    const found = new Set<LiveBoth>();
    for (let c = 0; c < this.classes; c++) {
      const next = this.#bothAfter(live, c);
      if (next) found.add(next);
    }
    return found;
  }

  #bothAfter(live: LiveBoth, byteClass: number): LiveBoth | undefined {
    const left = this.#next(live.left, byteClass);
    const right = this.#next(live.right, byteClass);
    if (left === dead || right === dead) return undefined;
    return this.#lives.both(this.states[left] ?? this.#dead, this.states[right] ?? this.#dead, live.size);
  }

  /** The state of all stacks that read a byte next, when any of `from` may be what is to come. */
  #close(from: readonly Stack[]): GrammarState {
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
      case 'lazy':
        todo.push(this.#push(below, head.make()));
        return false;
      case 'both': {
        const live = this.#lives.both(this.startOf(head.left), this.startOf(head.right), head.size);
        todo.push(this.#push(below, live));
        return false;
      }
      case 'not':
        todo.push(this.#push(below, this.#lives.not(this.startOf(head.term))));
        return false;
      case 'machine':
        todo.push(this.#push(below, this.#lives.machine(head.start)));
        return false;
      case 'branch':
        todo.push(this.#push(below, this.#lives.branch(head, head.texts.start)));
        return false;
      case 'shared': {
        const automaton = sharedAutomaton(head.family);
        todo.push(this.#push(below, this.#lives.shared(automaton, automaton.startOf(head.term))));
        return false;
      }
      case 'except': {
        const automaton = sharedAutomaton(head.part.family);
        const state = automaton.startOf(head.part.term);
        todo.push(this.#push(below, this.#lives.except(head, automaton, state, head.texts.start)));
        return false;
      }
      case 'recorded': {
        const automaton = sharedAutomaton(head.part.family);
        const live = this.#lives.recorded(head, automaton, automaton.startOf(head.part.term));
        todo.push(this.#push(below, live));
        return false;
      }
      case 'live-shared':
        if (head.state.accepting && head.sealed) return true;
        if (head.state.accepting) todo.push(below);
        return head.state.items.length > 0;
      case 'live-except':
        if (head.state.accepting && head.except.texts.endOf(head.place) === undefined) todo.push(below);
        return head.state.items.length > 0;
      case 'live-recorded':
        if (head.state.accepting && head.recorded.allowed(head.text)) {
          todo.push(this.#push(below, head.recorded.after(head.text)));
        }
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
      case 'live-branch': {
        const index = head.branch.texts.endOf(head.place);
        if (index !== undefined && head.branch.allowed(index)) {
          todo.push(this.#push(below, head.branch.after(index)));
        }
        return true;
      }
      case 'never':
        return false;
    }
  }

  /** The state before a text of a term, which is one of the grammar's or has its bytes. */
  startOf(term: Term): GrammarState {
    const known = this.#starts.get(term);
    if (known) return known;
    if (this.#starting.has(term))
      throw new IngotError('invalid_argument', 'a grammar is defined by itself alone');
    this.#starting.add(term);
    try {
      const made = this.#close([this.#push(this.#bottom, term)]);
      this.#starts.set(term, made);
      return made;
    } finally {
      this.#starting.delete(term);
    }
  }

  #intern(items: Stack[], accepting: boolean): GrammarState {
    items.sort((a, b) => a.id - b.id);
    const key = `${accepting ? '+' : '-'}${items.map(({ id }) => id).join()}`;
    let state = this.#byKey.get(key);
    if (!state) {
      const doubtful = items.some(
        ({ head }) => head.kind === 'live-shared' && head.sealed && head.state.accepting,
      );
      state = { id: this.states.length, accepting, items, doubtful };
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
}

/** Whether a text matches a term. */
export function matches(term: Term, text: string): boolean {
  const automaton = Automaton.of(term);
  return follows(automaton, text);
}

/** Whether an automaton accepts a text. */
export function follows(automaton: Automaton, text: string): boolean {
  let state: GrammarState | undefined = automaton.start;
  for (const byte of new TextEncoder().encode(text)) state = state && automaton.step(state, byte);
  return state?.accepting ?? false;
}
