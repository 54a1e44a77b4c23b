// Follows a term byte by byte. A state is the set of all ways the text so far may go on, each a stack of terms that are
// still to come. States are made when a text first reaches them, and kept, with their transitions in a table.
// The derivatives are Antimirov's: https://doi.org/10.1016/0304-3975(95)00182-4, with a stack for recursion.

import { IngotError } from '../../base/errors.ts';
import { type Analysis, analyse } from './analysis.ts';
import type { GrammarState, Live, LiveRecorded, Part, Stack, TextsPart } from './live.ts';
import { Lives } from './lives.ts';
import { Near } from './near.ts';
import { atOnce, endless, type Patience } from './patience.ts';
import { Rows } from './rows.ts';
import { Stacks } from './stacks.ts';
import { oneLess, type Term } from './term.ts';
import { isTexts } from './texts.ts';
import { dead, flag, Transitions } from './transitions.ts';

/** Ways to go on that are followed at one place. A grammar that begins with more is refused; later on others are left out. */
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

/** Whether ways to go on were left out by what is being worked out. */
let isCut = false;

const tooManyWays = (): IngotError =>
  new IngotError('unsupported', `a grammar has more than ${maxItems} ways to go on at one place`);

export class Automaton {
  readonly id = automata++;
  readonly start: GrammarState;
  /**
   * Rows are filled by `fill`. In parts whose text is recorded, this goes no further than a doubtful state at their end;
   * `step` does.
   */
  readonly table: Transitions;
  readonly states: GrammarState[] = [];
  readonly #stacks = new Stacks();
  readonly #barren: ReadonlySet<Term | Live>;
  readonly #byKey = new Map<string, GrammarState>();
  readonly #lives = new Lives();
  readonly #starts = new Map<Term, GrammarState>();
  /** Starts, and states whose next ones, have fewer ways to go on than there are. */
  readonly #cut = new Set<Term | GrammarState>();
  /** Terms whose start is being worked out. */
  readonly #starting = new Set<Term>();
  readonly #near: Near;
  readonly #rows: Rows;
  readonly #dead: GrammarState;

  constructor(root: Term, { classOf, barren }: Analysis) {
    this.table = new Transitions(classOf);
    this.#barren = barren;
    this.#dead = this.#intern([], false);
    this.#near = new Near(this.#stacks, this.#lives, (items, accepting) => this.#intern(items, accepting));
    this.#rows = new Rows(this, this.#stacks, this.#lives, this.#dead);
    this.start = this.#wholeStartOf(root);
  }

  /** Of a small grammar, at once. */
  static of(root: Term): Automaton {
    return new Automaton(root, atOnce(analyse(root, endless)));
  }

  /** So much has been made that it is time to begin anew. */
  get isLarge(): boolean {
    return this.#stacks.count + this.states.length > maxSize;
  }

  /** The state after a byte; undefined when no text goes on like this. */
  step(state: GrammarState, byte: number, patience?: Patience): GrammarState | undefined {
    const isKnown = this.table.is(state.id, flag.filled);
    const exactly = state.items.some(
      ({ head: { kind } }) => kind === 'live-recorded' || (kind === 'live-shared' && !isKnown),
    );
    if (exactly) return this.#exactStep(state, byte, patience);
    this.fill(state, patience);
    return this.states[this.table.after(state.id, byte)];
  }

  /**
   * Works out where each class of bytes leads from a state. False when that was known.
   * @throws `paused` when the patience is over before that.
   */
  fill(state: GrammarState, patience?: Patience): boolean {
    if (this.table.is(state.id, flag.filled)) {
      isCut ||= this.#cut.has(state);
      return false;
    }
    rows++;
    this.table.mark(state.id, flag.filled);
    try {
      this.#watch(state, () => this.#fillRow(state, patience));
    } catch (error) {
      this.table.unmark(state.id, flag.filled);
      throw error;
    }
    return true;
  }

  /** Takes note of what left out ways to go on. */
  #watch<T>(of: Term | GrammarState, work: () => T): T {
    const before = isCut;
    isCut = false;
    try {
      return work();
    } finally {
      if (isCut) this.#cut.add(of);
      isCut ||= before;
    }
  }

  /** As `fill`. Throws unsupported where ways to go on would be left out: an opposite would be wider for that. */
  fillWhole(state: GrammarState, patience?: Patience): void {
    this.fill(state, patience);
    if (this.#cut.has(state)) throw tooManyWays();
  }

  /**
   * Whether all texts of at most `height` bytes of these sets go on from a state, through states that accept where it does.
   * Throws `paused` as `fill` does.
   */
  takes(state: number, sets: number, height: number, patience?: Patience): boolean {
    const { table, states } = this;
    let id = state;
    for (let left = height; left > 0; left--) {
      if (!table.is(id, flag.hasRun)) {
        this.fill(states[id] as GrammarState, patience);
        table.findRun(id);
      }
      if ((sets & ~(table.runSets[id] as number)) !== 0) return false;
      const next = table.runNext[id] as number;
      if (next === id) return true;
      id = next;
    }
    return true;
  }

  #fillRow(state: GrammarState, patience: Patience | undefined): void {
    const rows = state.items.map((item) => this.#rows.of(item, patience));
    const known = new Map<string | number, number>();
    const { classes } = this.table;
    const row = state.id * classes;
    const found: number[] = [];
    for (let c = 0; c < classes; c++) {
      const there: Stack[] = [];
      for (const each of rows) {
        const stack = each[c];
        if (stack) there.push(stack);
      }
      // Most bytes have one way to go on, or none.
      const key = there.length < 2 ? (there[0]?.id ?? -1) : there.map(({ id }) => id).join();
      let next = known.get(key);
      if (next === undefined) {
        next = this.#after(there)?.id ?? dead;
        known.set(key, next);
      }
      found.push(next);
    }
    this.table.next.set(found, row);
  }

  #after(there: readonly Stack[]): GrammarState | undefined {
    const next = there.length === 0 ? this.#dead : this.#close(there);
    return this.#alive(next);
  }

  /** One step alone: most states in parts that have an automaton of their own are left by one byte only. */
  #exactStep(state: GrammarState, byte: number, patience: Patience | undefined): GrammarState | undefined {
    state.exact ??= new Map();
    if (state.exact.has(byte)) return state.exact.get(byte);
    const next = this.#after(
      state.items.flatMap((item) => {
        const { head, rest } = item;
        const below = rest ?? this.#stacks.bottom;
        if (head.kind === 'live-shared') {
          const inner = head.automaton.step(head.state, byte, patience);
          return inner
            ? [this.#stacks.push(below, this.#lives.shared(head.automaton, inner, head.sealed))]
            : [];
        }
        if (head.kind !== 'live-recorded') {
          return this.#rows.of(item, patience)[this.table.classOf[byte] ?? 0] ?? [];
        }
        const live = this.#recordedAfter(head, byte);
        return live ? [this.#stacks.push(below, live)] : [];
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

  /** A state that allows the same next `most` bytes; what is further away does not tell it from others. */
  nearly(state: GrammarState, most: number): GrammarState {
    return this.#near.of(state, most);
  }

  /** The ways to go on from a state: those in parts with an automaton of their own, and all others as one state. */
  split(state: GrammarState): {
    readonly plain: GrammarState | undefined;
    readonly parts: readonly Part[];
    readonly texts: readonly TextsPart[];
  } {
    const parts: Part[] = [];
    const texts: TextsPart[] = [];
    const plain: Stack[] = [];
    for (const item of state.items) {
      const part = this.#partOf(item);
      const given = part ? undefined : this.#textsOf(item);
      if (part) parts.push(part);
      else if (given) texts.push(given);
      else plain.push(item);
    }
    if (plain.length === state.items.length) return { plain: state, parts, texts };
    return { plain: plain.length > 0 ? this.#intern(plain, false) : undefined, parts, texts };
  }

  #textsOf({ head, rest }: Stack): TextsPart | undefined {
    const below = rest ?? this.#stacks.bottom;
    if (head.kind === 'live-machine' && isTexts(head.machine)) {
      const { texts, place } = head.machine;
      const after = this.#alive(this.#close([below]));
      return { texts, place, after: () => after, goesOn: () => true };
    }
    if (head.kind !== 'live-branch') return undefined;
    const { branch, place } = head;
    const { texts } = branch;
    return {
      texts,
      place,
      after: (index) =>
        branch.allowed(index)
          ? this.#alive(this.#close([this.#stacks.push(below, branch.after(index))]))
          : undefined,
      goesOn: (at) => {
        const ended = texts.endOf(at);
        return texts.some(at, (index) => index !== ended && branch.allowed(index));
      },
    };
  }

  #partOf({ head, rest }: Stack): Part | undefined {
    const below = rest ?? this.#stacks.bottom;
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
        const after = this.#close([this.#stacks.push(below, recorded.next)]);
        return { automaton, state, allowed: (path) => recorded.allowed(text + path), after };
      }
      default:
        return undefined;
    }
  }

  #alive(state: GrammarState): GrammarState | undefined {
    return state.items.length > 0 || state.accepting ? state : undefined;
  }

  /** The state of all stacks that read a byte next, when any of `from` may be what is to come. */
  #close(from: readonly Stack[]): GrammarState {
    const seen = new Set<Stack>();
    const items: Stack[] = [];
    const todo = [...from];
    for (let stack = todo.pop(); stack !== undefined; stack = todo.pop()) {
      if (seen.has(stack)) continue;
      seen.add(stack);
      if (stack === this.#stacks.bottom) continue;
      if (this.#expand(stack, todo)) items.push(stack);
      if (seen.size < maxItems || todo.length === 0) continue;
      // Each way comes to an end of its own, so that the others can be done without.
      isCut = true;
      if (items.length > 0) break;
      if (seen.size > maxItems * maxItems) throw tooManyWays();
    }
    const { bottom } = this.#stacks;
    return this.#intern(items, seen.has(bottom) || todo.includes(bottom));
  }

  /** Puts what a stack stands for on `todo`. True when its head reads a byte itself. */
  #expand({ head, rest }: Stack, todo: Stack[]): boolean {
    const below = rest ?? this.#stacks.bottom;
    if (this.#barren.has(head)) return false;
    switch (head.kind) {
      case 'bytes':
        return true;
      case 'empty':
        todo.push(below);
        return false;
      case 'seq':
        todo.push(this.#stacks.push(this.#stacks.push(below, head.second), head.first));
        return false;
      case 'alt':
        for (const option of head.options) todo.push(this.#stacks.push(below, option));
        return false;
      case 'repeat':
        if (head.min === 0) todo.push(below);
        todo.push(this.#stacks.push(this.#stacks.push(below, oneLess(head)), head.part));
        return false;
      case 'rule':
        todo.push(this.#stacks.push(below, head.rule.term));
        return false;
      case 'lazy':
        todo.push(this.#stacks.push(below, head.make()));
        return false;
      case 'both': {
        const live = this.#lives.both(this.startOf(head.left), this.startOf(head.right), head.size);
        todo.push(this.#stacks.push(below, live));
        return false;
      }
      case 'not':
        todo.push(this.#stacks.push(below, this.#lives.not(this.#wholeStartOf(head.term))));
        return false;
      case 'machine':
        todo.push(this.#stacks.push(below, this.#lives.machine(head.start)));
        return false;
      case 'branch':
        todo.push(this.#stacks.push(below, this.#lives.branch(head, head.texts.start)));
        return false;
      case 'shared': {
        const automaton = sharedAutomaton(head.family);
        todo.push(this.#stacks.push(below, this.#lives.shared(automaton, automaton.startOf(head.term))));
        return false;
      }
      case 'except': {
        const automaton = sharedAutomaton(head.part.family);
        const state = automaton.startOf(head.part.term);
        todo.push(this.#stacks.push(below, this.#lives.except(head, automaton, state, head.texts.start)));
        return false;
      }
      case 'recorded': {
        const automaton = sharedAutomaton(head.part.family);
        const live = this.#lives.recorded(head, automaton, automaton.startOf(head.part.term));
        todo.push(this.#stacks.push(below, live));
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
          todo.push(this.#stacks.push(below, head.recorded.after(head.text)));
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
          todo.push(this.#stacks.push(below, head.branch.after(index)));
        }
        return true;
      }
      case 'never':
        return false;
    }
  }

  /** The state before a text of a term. Throws unsupported where that would leave out ways to go on. */
  #wholeStartOf(term: Term): GrammarState {
    const start = this.startOf(term);
    if (this.#cut.has(term)) throw tooManyWays();
    return start;
  }

  /** The state before a text of a term, which is one of the grammar's or has its bytes. */
  startOf(term: Term): GrammarState {
    const known = this.#starts.get(term);
    if (known) {
      isCut ||= this.#cut.has(term);
      return known;
    }
    if (this.#starting.has(term))
      throw new IngotError('invalid_argument', 'a grammar is defined by itself alone');
    this.#starting.add(term);
    try {
      const made = this.#watch(term, () => this.#close([this.#stacks.push(this.#stacks.bottom, term)]));
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
      this.table.add(state);
    }
    return state;
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
