// What the ways to go on become with the next byte: derivatives of terms, and steps of the parts that are under way.

import type { Automaton } from './automaton.ts';
import type { GrammarState, Live, LiveBoth, Stack } from './live.ts';
import { isAlive, type Lives } from './lives.ts';
import type { Patience } from './patience.ts';
import type { Stacks } from './stacks.ts';
import type { Machine, Ranges } from './term.ts';
import { dead } from './transitions.ts';

export class Rows {
  readonly #automaton: Automaton;
  readonly #stacks: Stacks;
  readonly #lives: Lives;
  readonly #dead: GrammarState;
  /** A byte of each class. */
  readonly #classBytes: readonly number[];
  readonly #inRanges = new Map<Ranges, readonly boolean[]>();
  /** By the alphabet of a machine: which classes hold its bytes. */
  readonly #toldApart = new Map<string, readonly boolean[]>();

  constructor(automaton: Automaton, stacks: Stacks, lives: Lives, deadState: GrammarState) {
    this.#automaton = automaton;
    this.#stacks = stacks;
    this.#lives = lives;
    this.#dead = deadState;
    const representative: number[] = [];
    automaton.table.classOf.forEach((c, byte) => {
      representative[c] ??= byte;
    });
    this.#classBytes = representative;
  }

  /** What an item becomes, by class of the byte it reads. Throws `paused` where the patience is over. */
  of({ head, rest }: Stack, patience: Patience | undefined): readonly (Stack | undefined)[] {
    const below = rest ?? this.#stacks.bottom;
    const each = (after: (byte: number, c: number) => Live | undefined) =>
      this.#classBytes.map((byte, c) => {
        const live = after(byte, c);
        return live && this.#stacks.push(below, live);
      });
    switch (head.kind) {
      case 'bytes':
        return this.#classesIn(head.ranges).map((isIn) => (isIn ? below : undefined));
      case 'live-both':
        return this.#bothRow(head, below, patience);
      case 'live-not':
        this.#automaton.fillWhole(head.inner, patience);
        return each((_, c) =>
          this.#lives.not(this.#automaton.states[this.#next(head.inner, c)] ?? this.#dead),
        );
      case 'live-machine':
        return this.#machineRow(head.machine, below);
      case 'live-branch':
        return each((byte) => {
          const place = head.branch.texts.step(head.place, byte);
          const some = place && head.branch.texts.some(place, (i) => head.branch.allowed(i));
          return some ? this.#lives.branch(head.branch, place) : undefined;
        });
      case 'live-shared':
        return this.#sharedRow(head, below, head.sealed, patience);
      case 'live-except':
        return each((byte) => {
          const state = head.automaton.step(head.state, byte, patience);
          const place = head.except.texts.step(head.place, byte);
          if (!state || !place) return state && this.#lives.shared(head.automaton, state);
          const ends = state.items.length === 0 && head.except.texts.endOf(place) !== undefined;
          return ends ? undefined : this.#lives.except(head.except, head.automaton, state, place);
        });
      case 'live-recorded':
        return this.#sharedRow(head, below, true, patience);
      default:
        return [];
    }
  }

  /** Few states follow on most bytes, and each is looked at once. */
  #sharedRow(
    { automaton, state }: { readonly automaton: Automaton; readonly state: GrammarState },
    below: Stack,
    sealed: boolean,
    patience: Patience | undefined,
  ): readonly (Stack | undefined)[] {
    const known = new Map<GrammarState | undefined, Stack | undefined>();
    return this.#classBytes.map((byte) => {
      const next = automaton.step(state, byte, patience);
      if (!next) return undefined;
      let stack = known.get(next);
      if (!stack) {
        stack = this.#stacks.push(below, this.#lives.shared(automaton, next, sealed));
        known.set(next, stack);
      }
      return stack;
    });
  }

  /** Bytes that the machine does not tell apart are asked for once. */
  #machineRow(machine: Machine, below: Stack): readonly (Stack | undefined)[] {
    const after = (byte: number): Stack | undefined => {
      const next = machine.step(byte);
      return next && this.#stacks.push(below, this.#lives.machine(next));
    };
    let known = this.#toldApart.get(machine.alphabet);
    if (!known) {
      const { alphabet } = machine;
      known = this.#classBytes.map((byte) => alphabet.includes(String.fromCharCode(byte)));
      this.#toldApart.set(machine.alphabet, known);
    }
    const other = known.indexOf(false);
    const others = other < 0 ? undefined : after(this.#classBytes[other] as number);
    return this.#classBytes.map((byte, c) => (known[c] ? after(byte) : others));
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
    this.#automaton.fill(live.left, patience);
    this.#automaton.fill(live.right, patience);
    const known = new Map<LiveBoth, Stack | undefined>();
    const row: (Stack | undefined)[] = [];
    for (let c = 0; c < this.#automaton.table.classes; c++) {
      const next = this.#bothAfter(live, c);
      if (next && !known.has(next)) {
        known.set(
          next,
          isAlive(next, (each) => this.#bothAfterAll(each, patience), patience)
            ? this.#stacks.push(below, next)
            : undefined,
        );
      }
      row.push(next && known.get(next));
    }
    return row;
  }

  /** Where an intersection may be after one more byte. */
  #bothAfterAll(live: LiveBoth, patience: Patience | undefined): ReadonlySet<LiveBoth> {
    this.#automaton.fill(live.left, patience);
    this.#automaton.fill(live.right, patience);
    const found = new Set<LiveBoth>();
    for (let c = 0; c < this.#automaton.table.classes; c++) {
      const next = this.#bothAfter(live, c);
      if (next) found.add(next);
    }
    return found;
  }

  #bothAfter(live: LiveBoth, byteClass: number): LiveBoth | undefined {
    const left = this.#next(live.left, byteClass);
    const right = this.#next(live.right, byteClass);
    if (left === dead || right === dead) return undefined;
    return this.#lives.both(
      this.#automaton.states[left] ?? this.#dead,
      this.#automaton.states[right] ?? this.#dead,
      live.size,
    );
  }

  #next(state: GrammarState, byteClass: number): number {
    return this.#automaton.table.next[state.id * this.#automaton.table.classes + byteClass] ?? dead;
  }
}
