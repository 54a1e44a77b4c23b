// Turns of the event loop between pieces of long work, in Node and in a browser.

/** Milliseconds of work between turns. */
const pieceMs = 4;

/** Lets the event loop run what waits. Not a timer: those of a page take 4 ms, and a second when it is in the background. */
export function nextTurn(): Promise<void> {
  if (typeof setImmediate === 'function') return new Promise((resolve) => setImmediate(resolve));
  return new Promise((resolve) => {
    const { port1, port2 } = new MessageChannel();
    const onmessage = (): void => {
      port1.close();
      resolve();
    };
    Object.assign(port1, { onmessage });
    port2.postMessage(undefined);
  });
}

/** Counts work since the last turn; each piece of it is to take much less than `limitMs`. */
export class Turns {
  readonly #limitMs: number;
  #start = performance.now();

  constructor(limitMs = pieceMs) {
    this.#limitMs = limitMs;
  }

  /** A turn when enough was done since the last one; else undefined, at once. */
  next(): Promise<void> | undefined {
    if (performance.now() - this.#start < this.#limitMs) return undefined;
    return nextTurn().then(() => {
      this.#start = performance.now();
    });
  }
}
