// How many answers may be in progress or wait at a time. One more is refused at once, with a hint when to come back.

import { RequestError } from './problem.ts';

const LONGEST_RETRY = 60;

export class Admission {
  readonly #limit: number;
  #active = 0;
  /** Seconds an answer takes, a moving average. */
  #seconds = 1;

  constructor(limit: number) {
    this.#limit = limit;
  }

  get active(): number {
    return this.#active;
  }

  /** Takes places for `count` answers; the function gives them back, once. Throws RequestError when there is no room. */
  enter(count: number): () => void {
    if (count > this.#limit) {
      throw new RequestError(
        'invalid',
        `the request asks for ${count} answers, and this server gives ${this.#limit} at a time`,
        { param: 'n' },
      );
    }
    if (this.#active + count > this.#limit) {
      throw new RequestError(
        'too_many',
        `${this.#active} answers are in progress or waiting and ${this.#limit} are allowed; try again later`,
        { retryAfter: Math.min(LONGEST_RETRY, Math.max(1, Math.ceil(this.#seconds))) },
      );
    }
    this.#active += count;
    const start = performance.now();
    let left = false;
    return () => {
      if (left) return;
      left = true;
      this.#active -= count;
      this.#seconds = 0.9 * this.#seconds + 0.1 * ((performance.now() - start) / 1000);
    };
  }
}
