// The transitions of an automaton as flat tables that one loop walks: where each class of bytes leads from a state, what the
// state is, and how long it takes the same bytes over and over.

import { setsWithin } from './byte-sets.ts';
import type { GrammarState } from './live.ts';

/** In the table of transitions: no text goes on like this. */
export const dead = -1;

/** What `flags` say of a state. */
export const flag = { filled: 1, accepting: 2, doubtful: 4, final: 8, hasRun: 16 } as const;

/** Bytes with which a run is looked for. */
const usual = ['e', '0', 'E', ' '].map((char) => char.charCodeAt(0));

export class Transitions {
  /** Bytes of one class are alike to the grammar. */
  readonly classOf: Uint8Array;
  readonly classes: number;
  /** By state and class, `id * classes + class`: the id of the next state, or `dead`. Known where the state is `filled`. */
  next: Int32Array;
  /** By state: `flag`s. */
  flags = new Uint8Array(64);
  /** By state that `hasRun`: all bytes of these sets lead to one state, which accepts where this one does and goes on. */
  runSets = new Int32Array(64);
  runNext = new Int32Array(64);
  #size = 0;

  constructor(classOf: Uint8Array) {
    this.classOf = classOf;
    this.classes = classOf.reduce((most, c) => Math.max(most, c), 0) + 1;
    this.next = new Int32Array(64 * this.classes);
  }

  add({ accepting, doubtful, items }: GrammarState): void {
    if (this.#size === this.flags.length) this.#grow();
    this.flags[this.#size++] =
      (accepting ? flag.accepting : 0) |
      (doubtful ? flag.doubtful : 0) |
      (items.length === 0 ? flag.final : 0);
  }

  #grow(): void {
    const larger = <T extends Int32Array | Uint8Array>(from: T, to: T): T => {
      to.set(from);
      return to;
    };
    const size = 2 * this.#size;
    this.next = larger(this.next, new Int32Array(size * this.classes));
    this.flags = larger(this.flags, new Uint8Array(size));
    this.runSets = larger(this.runSets, new Int32Array(size));
    this.runNext = larger(this.runNext, new Int32Array(size));
  }

  is(id: number, what: number): boolean {
    return ((this.flags[id] as number) & what) !== 0;
  }

  mark(id: number, what: number): void {
    this.flags[id] = (this.flags[id] as number) | what;
  }

  unmark(id: number, what: number): void {
    this.flags[id] = (this.flags[id] as number) & ~what;
  }

  after(id: number, byte: number): number {
    return this.next[id * this.classes + (this.classOf[byte] as number)] as number;
  }

  /** Finds the run of a filled state. */
  findRun(id: number): void {
    const on = this.#mostlyNext(id);
    this.runNext[id] = on;
    this.runSets[id] = on === dead ? 0 : setsWithin((byte) => this.after(id, byte) === on);
    this.mark(id, flag.hasRun);
  }

  #mostlyNext(id: number): number {
    const kind = flag.accepting | flag.doubtful | flag.final;
    for (const byte of usual) {
      const on = this.after(id, byte);
      if (on === dead) continue;
      const alike = ((this.flags[on] as number) & kind) === ((this.flags[id] as number) & flag.accepting);
      if (alike) return on;
    }
    return dead;
  }
}
