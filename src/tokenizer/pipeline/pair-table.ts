// A hash table from pairs of token ids to the rank of their merge and the token it makes: open addressing over flat arrays.

export interface Merge {
  readonly rank: number;
  readonly id: number;
}

export class PairTable {
  readonly #mask: number;
  /** Four words a slot: left + 1 (0 when free), right, rank, id. */
  readonly #slots: Int32Array;

  /** Room for `pairs` pairs. */
  constructor(pairs: number) {
    const slots = 2 ** Math.ceil(Math.log2(2 * pairs + 2));
    this.#mask = slots - 1;
    this.#slots = new Int32Array(4 * slots);
  }

  /** A pair that is there already takes the new rank. */
  set(left: number, right: number, { rank, id }: Merge): void {
    const at = this.#find(left, right);
    this.#slots[at] = left + 1;
    this.#slots[at + 1] = right;
    this.#slots[at + 2] = rank;
    this.#slots[at + 3] = id;
  }

  /** The rank of a pair's merge; -1 when it has none. */
  rankOf(left: number, right: number): number {
    const at = this.#find(left, right);
    return this.#slots[at] === 0 ? -1 : (this.#slots[at + 2] ?? -1);
  }

  /** The token a pair becomes; -1 when it has no merge. */
  idOf(left: number, right: number): number {
    const at = this.#find(left, right);
    return this.#slots[at] === 0 ? -1 : (this.#slots[at + 3] ?? -1);
  }

  #find(left: number, right: number): number {
    let hash = Math.imul(left, 0x9e3779b1) ^ Math.imul(right, 0x85ebca6b);
    hash ^= hash >>> 15;
    for (let slot = hash & this.#mask; ; slot = (slot + 1) & this.#mask) {
      const at = 4 * slot;
      const held = this.#slots[at] ?? 0;
      if (held === 0 || (held === left + 1 && this.#slots[at + 1] === right)) return at;
    }
  }
}
