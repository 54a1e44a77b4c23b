// Pages by number: which are free, and how many hold on to each of the others.

import { invariant } from '../base/errors.ts';

export class PagePool {
  /** Pages there are. */
  readonly size: number;
  readonly #references: Int32Array;
  /** The next page to hand out is the last. */
  readonly #free: number[];
  #reclaim: () => boolean = () => false;

  constructor(size: number) {
    this.size = size;
    this.#references = new Int32Array(size);
    this.#free = Array.from({ length: size }, (_, i) => size - 1 - i);
  }

  get free(): number {
    return this.#free.length;
  }

  /** `reclaim` frees at least one page and says so, or says that it has none. */
  onShortage(reclaim: () => boolean): void {
    this.#reclaim = reclaim;
  }

  /** A page held once; undefined when all are held. */
  take(): number | undefined {
    if (this.#free.length === 0 && !this.#reclaim()) return undefined;
    const page = this.#free.pop();
    if (page !== undefined) this.#references[page] = 1;
    return page;
  }

  /** How many hold a page. */
  holders(page: number): number {
    return this.#references[page] ?? 0;
  }

  hold(page: number): void {
    invariant(this.holders(page) > 0, `page ${page} is free`);
    this.#references[page] = this.holders(page) + 1;
  }

  release(page: number): void {
    const holders = this.holders(page);
    invariant(holders > 0, `page ${page} is free already`);
    this.#references[page] = holders - 1;
    if (holders === 1) this.#free.push(page);
  }
}
