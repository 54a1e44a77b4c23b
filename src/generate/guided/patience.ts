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

/** Things between looks at the clock, where each takes no more than some microseconds. */
const perLook = 256;

/** Does something with each of many things, one after another. */
export function* each<T>(
  all: Iterable<T>,
  patience: Patience,
  use: (one: T, at: number) => void,
  every = perLook,
): Work<void> {
  let at = 0;
  for (const one of all) {
    use(one, at++);
    if (at % every === 0 && patience.over) yield;
  }
}

/** What `make` makes of each of many things. */
export function* eachMade<S, T>(
  all: Iterable<S>,
  patience: Patience,
  make: (one: S, at: number) => T,
  every = perLook,
): Work<T[]> {
  const made: T[] = [];
  yield* each(all, patience, (one, at) => made.push(make(one, at)), every);
  return made;
}

/** Those of many things that are `wanted`. */
export function* eachThat<T>(all: Iterable<T>, patience: Patience, wanted: (one: T) => boolean): Work<T[]> {
  const found: T[] = [];
  yield* each(all, patience, (one) => {
    if (wanted(one)) found.push(one);
  });
  return found;
}

/** Goes through short work without a pause. */
export function atOnce<T>(work: Work<T>): T {
  for (let step = work.next(); ; step = work.next()) if (step.done === true) return step.value;
}

// biome-ignore lint/correctness/useYield: it is there already
export function* asIs<T>(one: T): Work<T> {
  return one;
}

/** Says when work should pause. */
export interface Patience {
  readonly over: boolean;
}

/** Of work that nobody waits for. */
export const endless: Patience = { over: false };

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
