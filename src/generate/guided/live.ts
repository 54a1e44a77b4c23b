// What an automaton keeps of a text so far: stacks of terms still to come, and the parts that are under way.

import type { Automaton } from './automaton.ts';
import type { Branch, Except, Machine, Recorded, Term } from './term.ts';
import type { Place, Texts } from './texts.ts';

/** Terms still to come, the first on top. The bottom of all stacks is an accepted text. */
export interface Stack {
  readonly id: number;
  readonly head: Term | Live;
  readonly rest: Stack | undefined;
  above: Map<Term | Live, Stack> | undefined;
  /** The same to the next so many bytes, by their number. */
  near: Map<number, Stack> | undefined;
}

/** A part of the text that several automata follow at once, or a place in one of another kind. */
export type Live =
  | LiveBoth
  | { readonly kind: 'live-not'; readonly inner: GrammarState }
  | { readonly kind: 'live-machine'; readonly machine: Machine }
  | { readonly kind: 'live-branch'; readonly branch: Branch; readonly place: Place }
  | LiveShared
  | LiveExcept
  | LiveRecorded;

/** In a part that has an automaton of its own. One that is `sealed` does not end: what follows depends on its text, which this does not know. */
export interface LiveShared {
  readonly kind: 'live-shared';
  readonly automaton: Automaton;
  readonly state: GrammarState;
  readonly sealed: boolean;
}

/** The same, while the text may still become one that is excepted. */
export interface LiveExcept {
  readonly kind: 'live-except';
  readonly except: Except;
  readonly automaton: Automaton;
  readonly state: GrammarState;
  readonly place: Place;
}

/** The same, with the text. */
export interface LiveRecorded {
  readonly kind: 'live-recorded';
  readonly recorded: Recorded;
  readonly automaton: Automaton;
  readonly state: GrammarState;
  readonly text: string;
  readonly next: Map<number, LiveRecorded>;
}

export interface LiveBoth {
  readonly kind: 'live-both';
  readonly left: GrammarState;
  readonly right: GrammarState;
  /** See the term. */
  readonly size: number | undefined;
  /** Known to be able to end, or not to. */
  alive?: boolean;
  /** How far the search for that is. */
  search?: { readonly from: Map<LiveBoth, LiveBoth | undefined>; readonly todo: LiveBoth[] } | undefined;
}

export interface GrammarState {
  readonly id: number;
  /** The text may end here. */
  readonly accepting: boolean;
  /** Stacks whose head reads a byte. None: the text cannot go on. */
  readonly items: readonly Stack[];
  /** A sealed part may end here: what follows depends on its text, which the table does not know. */
  readonly doubtful: boolean;
  /** States after a byte where the table does not have them. */
  exact?: Map<number, GrammarState | undefined>;
}

/** A way to go on that is in one of given texts. */
export interface TextsPart {
  readonly texts: Texts;
  /** Where in them. */
  readonly place: Place;
  /** Where the text is after one of them, by its index; undefined when that is not allowed. */
  after(index: number): GrammarState | undefined;
  /** Whether a text that is allowed goes on from a place, when some text does. */
  goesOn(place: Place): boolean;
}

/** A way to go on that is in a part with an automaton of its own. */
export interface Part {
  readonly automaton: Automaton;
  /** Where in the part. */
  readonly state: GrammarState;
  /** Where the text is once the part has ended. */
  readonly after: GrammarState;
  /** Whether the part may end after these further bytes, one in each character; always when there is no such function. */
  readonly allowed?: ((path: string) => boolean) | undefined;
  /** Further bytes after which it may not end. */
  readonly refused?: readonly string[] | undefined;
}
