// Pages by number: which are free, how many hold on to each of the others, and which of them only prefixes keep.

import { invariant } from '../base/errors.ts';

export class PagePool {
  /** Pages there are. */
  readonly size: number;
  readonly #references: Int32Array;
  /** 1: known prefixes hold the page, too. */
  readonly #kept: Uint8Array;
  /** Pages that nobody but a prefix holds. */
  #idle = 0;
  /** The next page to hand out is the last. */
  readonly #free: number[];
  #reclaim: () => boolean = () => false;
  #onFree: (page: number) => void = () => undefined;

  constructor(size: number) {
    this.size = size;
    this.#references = new Int32Array(size);
    this.#kept = new Uint8Array(size);
    this.#free = Array.from({ length: size }, (_, i) => size - 1 - i);
  }

  get free(): number {
    return this.#free.length;
  }

  /** Pages that can be had: those that are free and those that only prefixes keep. */
  get available(): number {
    return this.#free.length + this.#idle;
  }

  /** Calls `onFree` with every page that nobody holds any more. */
  whenFree(onFree: (page: number) => void): void {
    this.#onFree = onFree;
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
    const holders = this.holders(page);
    invariant(holders > 0, `page ${page} is free`);
    if (holders === 1 && this.#kept[page] === 1) this.#idle--;
    this.#references[page] = holders + 1;
  }

  release(page: number): void {
    const holders = this.holders(page);
    invariant(holders > 0, `page ${page} is free already`);
    this.#references[page] = holders - 1;
    if (holders === 1) {
      this.#free.push(page);
      this.#onFree(page);
    } else if (holders === 2 && this.#kept[page] === 1) this.#idle++;
  }

  /** In reverse, so that they are handed out again in this order: neighbours are read in one go. */
  releaseAll(pages: readonly number[]): void {
    for (let i = pages.length - 1; i >= 0; i--) this.release(pages[i] as number);
  }

  /** Holds a page for a prefix. */
  keep(page: number): void {
    this.hold(page);
    this.#kept[page] = 1;
  }

  /** The reverse of `keep`. */
  drop(page: number): void {
    if (this.holders(page) === 1) this.#idle--;
    this.#kept[page] = 0;
    this.release(page);
  }
}
