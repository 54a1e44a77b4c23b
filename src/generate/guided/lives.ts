// The parts of a text that are under way, one object for equal ones, and whether an intersection among them can still end.

import type { Automaton } from './automaton.ts';
import type { GrammarState, Live, LiveBoth, LiveRecorded, LiveShared } from './live.ts';
import { look, type Patience } from './patience.ts';
import type { Branch, Except, Machine, Recorded } from './term.ts';
import type { Place } from './texts.ts';

/** More states than an automaton has: two ids below it are one number. */
const maxStates = 2 ** 26;
/** Intersections looked at to see whether one can still end. */
const maxSearch = 2000;

/** The parts of one automaton. */
export class Lives {
  readonly #byKey = new Map<string, Live>();
  /** By the size, and by the ids of both states. */
  readonly #boths = new Map<number | undefined, Map<number, LiveBoth>>();
  readonly #shared = new Map<Automaton, Map<number, LiveShared>>();
  readonly #sealed = new Map<Automaton, Map<number, LiveShared>>();
  readonly #records = new Map<Recorded, LiveRecorded>();
  readonly #branches = new Map<Branch, number>();
  readonly #excepts = new Map<Except, number>();

  both(left: GrammarState, right: GrammarState, size: number | undefined): LiveBoth {
    let ofSize = this.#boths.get(size);
    if (!ofSize) {
      ofSize = new Map();
      this.#boths.set(size, ofSize);
    }
    const key = left.id * maxStates + right.id;
    let live = ofSize.get(key);
    if (!live) {
      live = { kind: 'live-both', left, right, size };
      ofSize.set(key, live);
    }
    return live;
  }

  not(inner: GrammarState): Live {
    return this.#one(`!${inner.id}`, () => ({ kind: 'live-not', inner }));
  }

  machine(machine: Machine): Live {
    return this.#one(`m${machine.key}`, () => ({ kind: 'live-machine', machine }));
  }

  branch(branch: Branch, place: Place): Live {
    const key = `b${numberOf(this.#branches, branch)}:${place.low},${place.high},${place.depth}`;
    return this.#one(key, () => ({ kind: 'live-branch', branch, place }));
  }

  shared(automaton: Automaton, state: GrammarState, sealed = false): LiveShared {
    const byState = (sealed ? this.#sealed : this.#shared).get(automaton) ?? new Map<number, LiveShared>();
    (sealed ? this.#sealed : this.#shared).set(automaton, byState);
    let live = byState.get(state.id);
    if (!live) {
      live = { kind: 'live-shared', automaton, state, sealed };
      byState.set(state.id, live);
    }
    return live;
  }

  except(except: Except, automaton: Automaton, state: GrammarState, place: Place): Live {
    const at = `${place.low},${place.high},${place.depth}`;
    const key = `x${numberOf(this.#excepts, except)}:${automaton.id},${state.id},${at}`;
    return this.#one(key, () => ({ kind: 'live-except', except, automaton, state, place }));
  }

  /** Of which nothing is written yet. */
  recorded(recorded: Recorded, automaton: Automaton, state: GrammarState): LiveRecorded {
    let live = this.#records.get(recorded);
    if (!live) {
      live = { kind: 'live-recorded', recorded, automaton, state, text: '', next: new Map() };
      this.#records.set(recorded, live);
    }
    return live;
  }

  #one<T extends Live>(key: string, make: () => T): T {
    let live = this.#byKey.get(key);
    if (!live) {
      live = make();
      this.#byKey.set(key, live);
    }
    return live as T;
  }
}

function numberOf<T>(numbers: Map<T, number>, key: T): number {
  let known = numbers.get(key);
  if (known === undefined) {
    known = numbers.size;
    numbers.set(key, known);
  }
  return known;
}

/**
 * Whether two automata can still end together; an intersection may have become empty without a byte telling. Looks depth first
 * at what `after` says may follow, and remembers what it learns of the states on its way. Throws `paused`.
 */
export function isAlive(
  start: LiveBoth,
  after: (live: LiveBoth) => Iterable<LiveBoth>,
  patience: Patience | undefined,
): boolean {
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
    look(patience);
    const following = after(live); // may pause
    todo.pop();
    for (const next of following) {
      if (from.has(next)) continue;
      from.set(next, live);
      todo.push(next);
    }
  }
  for (const live of from.keys()) live.alive = false;
  start.search = undefined;
  return false;
}
