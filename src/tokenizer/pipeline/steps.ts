// Work that can be put down and taken up again: a generator that yields between pieces of some microseconds to a few
// milliseconds, and returns its result.

export type Steps<T> = Generator<undefined, T, undefined>;

/** Does all of the work at once. */
export function finish<T>(steps: Steps<T>): T {
  for (;;) {
    const { done, value } = steps.next();
    if (done) return value;
  }
}
