// How far apart the logits of two models are, row by row.

import type { LogitDifferences } from './capsule.ts';

/** Takes rows of two models and adds their differences up. */
export class LogitComparison {
  #rows = 0;
  #sum = 0;
  #elements = 0;
  #same = 0;
  #kl = 0;
  readonly #largest: number[] = [];

  /** One row of logits of each. */
  add(a: Float32Array, b: Float32Array): void {
    let largest = 0;
    let [bestA, bestB] = [0, 0];
    for (let i = 0; i < a.length; i++) {
      const [x, y] = [a[i] as number, b[i] as number];
      const difference = Math.abs(x - y);
      this.#sum += difference;
      // NaN counts as infinitely far away.
      if (!(difference <= largest))
        largest = Number.isNaN(difference) ? Number.POSITIVE_INFINITY : difference;
      if (x > (a[bestA] as number)) bestA = i;
      if (y > (b[bestB] as number)) bestB = i;
    }
    this.#rows++;
    this.#elements += a.length;
    this.#largest.push(largest);
    if (bestA === bestB) this.#same++;
    this.#kl += divergence(a, b, a[bestA] as number, b[bestB] as number);
  }

  /** Undefined before the first row. */
  result(): LogitDifferences | undefined {
    if (this.#rows === 0) return undefined;
    const sorted = this.#largest.toSorted((x, y) => x - y);
    return {
      rows: this.#rows,
      maxAbs: sorted.at(-1) ?? 0,
      meanAbs: this.#sum / this.#elements,
      p99: sorted[Math.min(sorted.length - 1, Math.floor(0.99 * sorted.length))] ?? 0,
      top1: this.#same / this.#rows,
      kl: this.#kl / this.#rows,
    };
  }
}

/** KL(softmax(a) || softmax(b)) in nats; the largest of each is given. */
function divergence(a: Float32Array, b: Float32Array, maxA: number, maxB: number): number {
  let [sumA, sumB, weighted] = [0, 0, 0];
  for (let i = 0; i < a.length; i++) {
    const [x, y] = [(a[i] as number) - maxA, (b[i] as number) - maxB];
    const p = Math.exp(x);
    sumA += p;
    sumB += Math.exp(y);
    weighted += p * (x - y);
  }
  return Math.max(0, weighted / sumA - Math.log(sumA) + Math.log(sumB));
}
