// The prefixes that earlier sequences left: a tree whose nodes are pages of tokens. A node has a page of each group, or not:
// what only its last rows see is not needed inside a longer prefix. The page used longest ago goes first.

import { PAGE_SLOTS } from '../array/ops/memory/paged.ts';
import type { PagePool } from './page-pool.ts';
import { keepsPage, needsPage, type Sight, seesAll } from './parts.ts';

interface Node {
  /** By group; -1: the page was given back, or never kept. */
  readonly pages: number[];
  readonly key: string;
  readonly parent: Node | undefined;
  readonly children: Map<string, Node>;
}

export interface PrefixGroup {
  readonly sight: Sight;
  readonly pool: PagePool;
  /** Pages it keeps at most. */
  readonly maxPages: number;
}

/** Pages by group, of positions 32 i … 32 i + 31; -1 where there is none. */
export type PathPages = readonly (readonly number[])[];

export class PrefixTree {
  readonly #groups: readonly PrefixGroup[];
  readonly #root: Node = { pages: [], key: '', parent: undefined, children: new Map() };
  /** By group: nodes with a page, the one used longest ago first. */
  readonly #used: readonly Set<Node>[];

  constructor(groups: readonly PrefixGroup[]) {
    this.#groups = groups;
    this.#used = groups.map(() => new Set());
    groups.forEach(({ pool }, g) => {
      pool.onShortage(() => this.#reclaim(g));
    });
  }

  /** Pages it keeps of each group. */
  get pages(): readonly number[] {
    return this.#used.map((nodes) => nodes.size);
  }

  /**
   * Pages of the longest known prefix of `tokens` that is of at most `atMost` tokens, held once more for the caller; -1
   * for those that are not needed from its end on.
   */
  match(tokens: readonly number[], atMost: number): PathPages {
    const path: Node[] = [];
    let node: Node | undefined = this.#root;
    for (let end = PAGE_SLOTS; end <= atMost; end += PAGE_SLOTS) {
      node = node.children.get(keyOf(tokens, end - PAGE_SLOTS));
      if (node === undefined) break;
      path.push(node);
    }
    while (path.length > 0 && !this.#usable(path)) path.pop();
    this.#touch(path);
    return this.#groups.map(({ sight, pool }, g) => {
      const end = path.length * PAGE_SLOTS;
      return path.map(({ pages }, i) => {
        if (!needsPage(sight, i, end) || !keepsPage(sight, i)) return -1;
        const page = pages[g] as number;
        pool.hold(page);
        return page;
      });
    });
  }

  /** Remembers the first `count` pages of `tokens`; pages[g][i] holds tokens 32 i … 32 i + 31, -1 where it is gone. */
  insert(tokens: readonly number[], pages: PathPages, count: number): void {
    const path: Node[] = [];
    let node = this.#root;
    for (let i = 0; i < count; i++) {
      const key = keyOf(tokens, i * PAGE_SLOTS);
      let child = node.children.get(key);
      if (child === undefined) {
        child = { pages: this.#groups.map(() => -1), key, parent: node, children: new Map() };
        node.children.set(key, child);
      }
      for (const [g, own] of pages.entries()) this.#keep(child, g, own[i] ?? -1);
      path.push(child);
      node = child;
    }
    this.#touch(path);
    this.#prune(node);
  }

  /** Gives back all pages. */
  clear(): void {
    this.#used.forEach((nodes, g) => {
      for (const { pages } of nodes) this.#groups[g]?.pool.drop(pages[g] as number);
      nodes.clear();
    });
    this.#root.children.clear();
  }

  #keep(node: Node, g: number, page: number): void {
    if (page < 0 || (node.pages[g] ?? -1) >= 0 || !this.#makeRoom(g)) return;
    this.#groups[g]?.pool.keep(page);
    node.pages[g] = page;
    this.#used[g]?.add(node);
  }

  /** Gives back the page of a group used longest ago that nobody else holds. False when there is none. */
  #reclaim(g: number): boolean {
    const { sight, pool } = this.#groups[g] as PrefixGroup;
    for (const node of this.#used[g] ?? []) {
      const inner = needsStart(sight) && node.children.size > 0;
      if (inner || pool.holders(node.pages[g] as number) > 1) continue;
      // Without what rows see of everything, the rest of the node is of no use.
      if (needsStart(sight)) for (const each of node.pages.keys()) this.#drop(node, each);
      else this.#drop(node, g);
      this.#prune(node);
      return true;
    }
    return false;
  }

  #makeRoom(g: number): boolean {
    const { maxPages } = this.#groups[g] as PrefixGroup;
    const kept = this.#used[g]?.size ?? 0;
    return kept < maxPages || (maxPages > 0 && this.#reclaim(g));
  }

  /** Whether all pages that a row after this path needs are there. */
  #usable(path: readonly Node[]): boolean {
    return this.#groups.every(({ sight }, g) => {
      const end = path.length * PAGE_SLOTS;
      return path.every(
        ({ pages }, i) => !needsPage(sight, i, end) || !keepsPage(sight, i) || (pages[g] ?? -1) >= 0,
      );
    });
  }

  /** Ends go before what leads to them where rows see everything, and after it where they see the end only. */
  #touch(path: readonly Node[]): void {
    this.#groups.forEach(({ sight }, g) => {
      const used = this.#used[g] as Set<Node>;
      for (const node of needsStart(sight) ? [...path].reverse() : path) {
        if ((node.pages[g] as number) < 0) continue;
        used.delete(node);
        used.add(node);
      }
    });
  }

  #drop(node: Node, g: number): void {
    const page = node.pages[g] ?? -1;
    if (page < 0) return;
    this.#used[g]?.delete(node);
    this.#groups[g]?.pool.drop(page);
    node.pages[g] = -1;
  }

  /** Removes nodes without a page and without anything below them. */
  #prune(from: Node): void {
    let node = from;
    while (node.parent !== undefined && node.children.size === 0 && node.pages.every((page) => page < 0)) {
      node.parent.children.delete(node.key);
      node = node.parent;
    }
  }
}

/** Whether the end of a prefix is of no use without its beginning. */
const needsStart = (sight: Sight): boolean => seesAll(sight) || sight.kind === 'rotating';

/** The tokens of a page as a map key. */
const keyOf = (tokens: readonly number[], start: number): string =>
  tokens.slice(start, start + PAGE_SLOTS).join();
