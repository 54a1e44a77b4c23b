// The tokens of a vocabulary as a tree of their bytes, laid out so that one loop walks it and steps over whole branches.

import { Turns } from '../../base/turn.ts';
import { setOf } from './byte-sets.ts';
import type { ConstraintVocabulary } from './compile.ts';

export interface Trie {
  /** Nodes in depth-first order: the byte of each, its depth (first byte: 0), and the node after its branch. */
  readonly bytes: Uint8Array;
  readonly depths: Uint16Array;
  readonly ends: Int32Array;
  /** Node -> token that ends there, or -1; a token of equal bytes follows in `same`. */
  readonly tokens: Int32Array;
  readonly same: Int32Array;
  /** Node -> the node above it, or -1. */
  readonly parents: Int32Array;
  /** Node -> the sets of bytes (`byte-sets.ts`) in its branch, itself included, as bits; and the bytes of its longest path. */
  readonly sets: Int32Array;
  readonly heights: Uint16Array;
  /** All tokens in the order of nodes, and node -> place of the first token that is not before it; one more at the end. */
  readonly order: Int32Array;
  readonly firsts: Int32Array;
  readonly maxDepth: number;
  readonly vocabSize: number;
}

/** Bytes of a short token, at most: few tokens are longer. */
const short = 16;

/**
 * Builds trees in slices, so that the event loop stays free: one of the short tokens and one of the long. Tokens longer than
 * 65,535 bytes are left out.
 */
export async function buildTries(
  vocabulary: ConstraintVocabulary,
  keep: ReadonlySet<number> = new Set(),
): Promise<readonly Trie[]> {
  const { vocabSize, specialIds } = vocabulary;
  const trees = { short: new Tree(vocabSize), long: new Tree(vocabSize) };
  const turns = new Turns();
  for (let id = 0; id < vocabSize; id++) {
    if (id % 256 === 0) await turns.next();
    if (specialIds.has(id) && !keep.has(id)) continue;
    const bytes = vocabulary.bytesOf(id);
    (bytes.length > short ? trees.long : trees.short).add(id, bytes);
  }
  const tries = [await trees.short.flatten(turns), await trees.long.flatten(turns)];
  return tries.filter(({ bytes }) => bytes.length > 0);
}

/** The bytes on the way to a node, one in each character. */
export function pathTo({ bytes, parents }: Trie, node: number): string {
  let path = '';
  for (let at = node; at >= 0; at = parents[at] ?? -1) {
    path = String.fromCharCode(bytes[at] ?? 0) + path;
  }
  return path;
}

/** The node that is reached by some bytes, one in each character; -1 when there is none. */
export function nodeAt({ bytes, ends }: Trie, path: string): number {
  let [node, end, found] = [0, bytes.length, -1];
  for (let i = 0; i < path.length; i++) {
    const byte = path.charCodeAt(i);
    while (node < end && bytes[node] !== byte) node = ends[node] ?? end;
    if (node >= end) return -1;
    found = node;
    end = ends[node] ?? end;
    node++;
  }
  return found;
}

/** Children as linked lists: grows by one node at a time, without objects. */
class Tree {
  readonly #vocabSize: number;
  #size = 1;
  #byte = new Uint8Array(1 << 16);
  #child = new Int32Array(1 << 16);
  #sibling = new Int32Array(1 << 16);
  #token = new Int32Array(1 << 16).fill(-1);
  readonly #same: Int32Array;
  /** Children of the root by their byte: the widest node by far. */
  readonly #first = new Int32Array(256);

  constructor(vocabSize: number) {
    this.#vocabSize = vocabSize;
    this.#same = new Int32Array(vocabSize).fill(-1);
  }

  add(id: number, bytes: Uint8Array): void {
    if (bytes.length === 0 || bytes.length > 0xffff) return;
    let node = 0;
    for (const byte of bytes) node = this.#childOf(node, byte);
    this.#same[id] = this.#token[node] ?? -1;
    this.#token[node] = id;
  }

  #childOf(node: number, byte: number): number {
    const first = (node === 0 ? this.#first[byte] : this.#child[node]) ?? 0;
    if (node === 0 && first !== 0) return first;
    for (let child = node === 0 ? 0 : first; child !== 0; child = this.#sibling[child] ?? 0) {
      if (this.#byte[child] === byte) return child;
    }
    const made = this.#newNode(byte);
    if (node === 0) this.#first[byte] = made;
    else {
      this.#sibling[made] = first;
      this.#child[node] = made;
    }
    return made;
  }

  #newNode(byte: number): number {
    if (this.#size === this.#byte.length) this.#grow();
    this.#byte[this.#size] = byte;
    return this.#size++;
  }

  #grow(): void {
    const size = this.#size * 2;
    const larger = <T extends Uint8Array | Int32Array>(from: T, to: T): T => {
      to.set(from);
      return to;
    };
    this.#byte = larger(this.#byte, new Uint8Array(size));
    this.#child = larger(this.#child, new Int32Array(size));
    this.#sibling = larger(this.#sibling, new Int32Array(size));
    this.#token = larger(this.#token, new Int32Array(size).fill(-1));
  }

  async flatten(turns: Turns): Promise<Trie> {
    const count = this.#size - 1;
    const trie = {
      bytes: new Uint8Array(count),
      depths: new Uint16Array(count),
      ends: new Int32Array(count),
      tokens: new Int32Array(count).fill(-1),
      parents: new Int32Array(count).fill(-1),
    };
    const above: number[] = [];
    let at = 0;
    let maxDepth = 0;
    // An entry is a node to write, or, as a negative number, a written node whose branch is complete.
    const todo: number[] = [...this.#first].filter((node) => node !== 0).reverse();
    const depths: number[] = todo.map(() => 0);
    while (todo.length > 0) {
      const node = todo.pop() ?? 0;
      const depth = depths.pop() ?? 0;
      if (node < 0) {
        trie.ends[-node - 1] = at;
        continue;
      }
      trie.bytes[at] = this.#byte[node] ?? 0;
      trie.depths[at] = depth;
      trie.tokens[at] = this.#token[node] ?? -1;
      trie.parents[at] = depth === 0 ? -1 : (above[depth - 1] ?? -1);
      above[depth] = at;
      maxDepth = Math.max(maxDepth, depth);
      at++;
      if (at % 1024 === 0) await turns.next();
      todo.push(-at);
      depths.push(depth);
      for (let child = this.#child[node] ?? 0; child !== 0; child = this.#sibling[child] ?? 0) {
        todo.push(child);
        depths.push(depth + 1);
      }
    }
    const same = this.#same;
    const branches = await branchesOf(trie, same, turns);
    return { ...trie, ...branches, same, maxDepth, vocabSize: this.#vocabSize };
  }
}

/** What is known of whole branches. */
async function branchesOf(
  { bytes, tokens, parents }: Pick<Trie, 'bytes' | 'tokens' | 'parents'>,
  same: Int32Array,
  turns: Turns,
): Promise<Pick<Trie, 'sets' | 'heights' | 'order' | 'firsts'>> {
  const count = bytes.length;
  const [sets, heights] = [new Int32Array(count), new Uint16Array(count)];
  for (let node = count - 1; node >= 0; node--) {
    sets[node] = (sets[node] as number) | (1 << (setOf[bytes[node] as number] as number));
    heights[node] = (heights[node] as number) + 1;
    const parent = parents[node] as number;
    if (parent >= 0) {
      sets[parent] = (sets[parent] as number) | (sets[node] as number);
      heights[parent] = Math.max(heights[parent] as number, heights[node] as number);
    }
    if (node % 4096 === 0) await turns.next();
  }
  const order: number[] = [];
  const firsts = new Int32Array(count + 1);
  for (let node = 0; node < count; node++) {
    firsts[node] = order.length;
    for (let id = tokens[node] as number; id >= 0; id = same[id] as number) order.push(id);
    if (node % 4096 === 0) await turns.next();
  }
  firsts[count] = order.length;
  return { sets, heights, order: Int32Array.from(order), firsts };
}
