// What a template may cost: it is a program of the model's file, and files are foreign.

import { IngotError } from '../../base/errors.ts';

/** Characters that count as one step of work. */
const charactersPerStep = 64;
const baseSteps = 2_000_000;
const baseCharacters = 16 << 20;
const deepest = 100;

/** Counts steps and characters; each is bounded by a constant and the size of what is rendered. */
export class Budget {
  #steps: number;
  #depth = 0;
  readonly #longest: number;

  /** `inputSize`: characters of the messages and tools. */
  constructor(inputSize: number) {
    this.#steps = baseSteps + inputSize;
    this.#longest = baseCharacters + 4 * inputSize;
  }

  step(count = 1): void {
    this.#steps -= count;
    if (this.#steps < 0) throw tooMuch('takes too many steps');
  }

  /** Before a text or list of `length` is made. */
  make(length: number): void {
    if (length > this.#longest) throw tooMuch(`makes a text of ${length} characters`);
    this.step(1 + Math.floor(length / charactersPerStep));
  }

  /** Runs a call of a macro or a recursive loop. */
  nested<T>(run: () => T): T {
    if (this.#depth >= deepest) throw tooMuch(`calls itself more than ${deepest} times`);
    this.#depth++;
    try {
      return run();
    } finally {
      this.#depth--;
    }
  }
}

const tooMuch = (what: string): IngotError =>
  new IngotError('bad_file', `the model's chat template ${what}: it is stopped; use another template`);
