// The prefixes that earlier sequences left: a tree whose nodes are pages of tokens, in least-recently-used order.

import { PAGE_SLOTS } from '../array/ops/paged.ts';
import type { PagePool } from './page-pool.ts';

interface Node {
  /** -1: the page was given back; what follows it may still be of use to layers with a window. */
  page: number;
  readonly key: string;
  readonly parent: Node | undefined;
  readonly children: Map<string, Node>;
}

export interface PrefixTreeOptions {
  /** Pages it keeps at most. */
  readonly maxPages: number;
  /** Longest sliding window of the layers; undefined when a layer sees everything. */
  readonly window: number | undefined;
}

export class PrefixTree {
  readonly #pool: PagePool;
  readonly #options: PrefixTreeOptions;
  readonly #root: Node = { page: -1, key: '', parent: undefined, children: new Map() };
  /** Nodes with a page, the one used longest ago first. A node is used after those below it. */
  readonly #used = new Set<Node>();

  constructor(pool: PagePool, options: PrefixTreeOptions) {
    this.#pool = pool;
    this.#options = options;
  }

  /** Pages it keeps. */
  get pages(): number {
    return this.#used.size;
  }

  /** How many of its pages nobody else holds. */
  get reclaimable(): number {
    let count = 0;
    for (const { page } of this.#used) if (this.#pool.holders(page) === 1) count++;
    return count;
  }

  /**
   * Pages of the longest known prefix of `tokens` that is of at most `atMost` tokens, held once more for the caller; -1
   * for those that no window sees any more from its end on.
   */
  match(tokens: readonly number[], atMost: number): number[] {
    const path: Node[] = [];
    let node: Node | undefined = this.#root;
    for (let end = PAGE_SLOTS; end <= atMost; end += PAGE_SLOTS) {
      node = node.children.get(keyOf(tokens, end - PAGE_SLOTS));
      if (node === undefined) break;
      path.push(node);
    }
    while (path.length > 0 && !this.#usable(path)) path.pop();
    const first = this.#firstSeen(path.length);
    for (const at of path.slice(first)) this.#pool.hold(at.page);
    this.#touch(path);
    return path.map(({ page }, i) => (i < first ? -1 : page));
  }

  /** Remembers whole pages of `tokens`; pages[i] holds tokens 32 i … 32 i + 31, -1 where it is gone. */
  insert(tokens: readonly number[], pages: readonly number[]): void {
    const path: Node[] = [];
    let node = this.#root;
    for (const [i, page] of pages.entries()) {
      const key = keyOf(tokens, i * PAGE_SLOTS);
      let child = node.children.get(key);
      if (child === undefined) {
        child = { page: -1, key, parent: node, children: new Map() };
        node.children.set(key, child);
      }
      if (child.page < 0 && page >= 0 && this.#makeRoom()) {
        this.#pool.hold(page);
        child.page = page;
        this.#used.add(child);
      }
      path.push(child);
      node = child;
    }
    this.#touch(path);
    this.#prune(node);
  }

  /** Gives back the page used longest ago that nobody else holds. False when there is none. */
  reclaim(): boolean {
    for (const node of this.#used) {
      const inner = this.#options.window === undefined && node.children.size > 0;
      if (inner || this.#pool.holders(node.page) > 1) continue;
      this.#drop(node);
      return true;
    }
    return false;
  }

  /** Gives back all pages. */
  clear(): void {
    for (const { page } of this.#used) this.#pool.release(page);
    this.#used.clear();
    this.#root.children.clear();
  }

  #makeRoom(): boolean {
    return this.#used.size < this.#options.maxPages || (this.#options.maxPages > 0 && this.reclaim());
  }

  /** Whether all pages that a row after this path sees are there. */
  #usable(path: readonly Node[]): boolean {
    return path.slice(this.#firstSeen(path.length)).every(({ page }) => page >= 0);
  }

  /** First of `pages` pages that the row after them sees. */
  #firstSeen(pages: number): number {
    const { window } = this.#options;
    if (window === undefined) return 0;
    return Math.max(0, Math.floor((pages * PAGE_SLOTS - window + 1) / PAGE_SLOTS));
  }

  /** The end of the path first, so that ends go before what leads to them. */
  #touch(path: readonly Node[]): void {
    for (const node of [...path].reverse()) {
      if (node.page < 0) continue;
      this.#used.delete(node);
      this.#used.add(node);
    }
  }

  #drop(node: Node): void {
    this.#used.delete(node);
    this.#pool.release(node.page);
    node.page = -1;
    this.#prune(node);
  }

  /** Removes nodes without a page and without anything below them. */
  #prune(from: Node): void {
    let node = from;
    while (node.parent !== undefined && node.page < 0 && node.children.size === 0) {
      node.parent.children.delete(node.key);
      node = node.parent;
    }
  }
}

/** The tokens of a page as a map key. */
const keyOf = (tokens: readonly number[], start: number): string =>
  tokens.slice(start, start + PAGE_SLOTS).join();
