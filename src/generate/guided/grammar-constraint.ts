// A grammar as a constraint of one generation.

import { IngotError } from '../../base/errors.ts';
import type { TokenConstraint } from '../constraint.ts';
import type { Automaton } from './automaton.ts';
import type { ConstraintVocabulary } from './compile.ts';
import type { GrammarState } from './live.ts';
import type { Masks } from './masks.ts';

export class GrammarConstraint implements TokenConstraint {
  readonly #automaton: Automaton;
  readonly #masks: Masks;
  readonly #vocabulary: ConstraintVocabulary;
  /** Where the text is in the grammar; undefined once it has ended. */
  #state: GrammarState | undefined;
  /** The state whose tokens are being worked out. */
  #awaited: GrammarState | undefined;
  /** The tokens that the present state allows, when they were prepared. */
  #allowed: Int32Array | undefined;

  constructor(automaton: Automaton, masks: Masks, vocabulary: ConstraintVocabulary) {
    this.#automaton = automaton;
    this.#masks = masks;
    this.#vocabulary = vocabulary;
    this.#state = automaton.start;
  }

  prepare(): Promise<void> | undefined {
    const state = this.#state;
    if (!state) return undefined;
    const made = this.#masks.prepare(this.#automaton, state);
    if (!(made instanceof Promise)) {
      this.#allowed = made;
      return undefined;
    }
    this.#awaited = state;
    return made.then((allowed) => {
      this.#awaited = undefined;
      if (this.#state === state) this.#allowed = allowed;
    });
  }

  fill(mask: Int32Array): boolean {
    const allowed = this.#allowed ?? (this.#state && this.#masks.of(this.#automaton, this.#state));
    mask.fill(0);
    if (allowed) mask.set(allowed.length > mask.length ? allowed.subarray(0, mask.length) : allowed);
    if (!this.#state || this.#state.accepting) {
      for (const id of this.#vocabulary.eosIds) {
        if (id >> 5 < mask.length) mask[id >> 5] = (mask[id >> 5] ?? 0) | (1 << (id & 31));
      }
    }
    if (mask.every((word) => word === 0)) {
      throw new IngotError(
        'unsupported',
        'the grammar cannot be followed further: no token of the vocabulary continues it',
      );
    }
    return true;
  }

  accept(id: number): void {
    this.#allowed = undefined;
    if (!this.#state || this.#vocabulary.eosIds.includes(id)) {
      if (this.#state?.accepting === false) throw refused(id);
      this.#state = undefined;
      return;
    }
    let state: GrammarState | undefined = this.#state;
    for (const byte of this.#vocabulary.bytesOf(id)) state = state && this.#automaton.step(state, byte);
    if (state === undefined) throw refused(id);
    this.#state = state;
  }

  dispose(): void {
    if (this.#awaited) this.#masks.forget(this.#awaited);
    this.#awaited = undefined;
    this.#state = undefined;
    this.#allowed = undefined;
  }
}

const refused = (id: number): IngotError =>
  new IngotError('internal', `internal: token ${id} was sampled, but the grammar does not allow it`, {
    details: { id },
  });
