// Work in slices: long work looks at its slice, and pauses when that is over, by a throw or by a yield, to go on later.

/** Work that yields where its patience is over, and is gone on with by `next`. */
export type Work<T> = Generator<void, T, void>;

/** What `make` makes of all shapes that it makes something of. */
export function* mapped<S, T>(all: readonly S[], make: (one: S) => Work<T | undefined>): Work<readonly T[]> {
  const found: T[] = [];
  for (const one of all) {
    const made = yield* make(one);
    if (made !== undefined) found.push(made);
  }
  return found;
}

// biome-ignore lint/correctness/useYield: it is there already
export function* asIs<T>(one: T): Work<T> {
  return one;
}

/** Says when work should pause. */
export interface Patience {
  readonly over: boolean;
}

/** Thrown when the patience is over by work that keeps what it has found, and is called again. */
export const paused = Symbol('paused');

export function look(patience: Patience | undefined): void {
  if (patience?.over === true) throw paused;
}

/** Over some milliseconds after it began; without a beginning, never. */
export class TimeSlice implements Patience {
  #end = Number.POSITIVE_INFINITY;

  begin(ms: number): void {
    this.#end = performance.now() + ms;
  }
  get over(): boolean {
    return performance.now() > this.#end;
  }
}
