// Walks the tree of a vocabulary beside a set of given texts: both are sorted by their bytes, and no state is made.

import type { GrammarState, TextsPart } from './live.ts';
import type { Patience } from './patience.ts';
import type { Trie } from './trie.ts';

/** Nodes of the tree between looks at the clock. */
const nodesPerLook = 512;

/** Where tokens leave the texts. */
export interface TextsFound {
  /** Nodes with more of a token to come at which a text has ended, by the state after it. */
  readonly exits: ReadonlyMap<GrammarState, readonly number[]>;
  /** Nodes with a token at which a text has ended after which nothing may come. */
  readonly finals: readonly number[];
}

/** Sets the bits of tokens that stay in the texts or end with one of them. Pauses when the patience is over. */
export function* walkTexts(
  { bytes, depths, ends, tokens, same, maxDepth }: Trie,
  { texts, place, after, goesOn }: TextsPart,
  mask: Int32Array,
  patience: Patience,
): Generator<void, TextsFound, void> {
  const exits = new Map<GrammarState, number[]>();
  const finals: number[] = [];
  const lows = new Int32Array(maxDepth + 2).fill(place.low);
  const highs = new Int32Array(maxDepth + 2).fill(place.high);
  for (let node = 0, looked = 0; node < bytes.length; ) {
    if (++looked >= nodesPerLook) {
      looked = 0;
      if (patience.over) yield;
    }
    const depth = depths[node] as number;
    const byte = bytes[node] as number;
    const read = place.depth + depth;
    const low = texts.firstAt(lows[depth] as number, highs[depth] as number, read, byte);
    const high = texts.firstAt(low, highs[depth] as number, read, byte + 1);
    const here = { low, high, depth: read + 1 };
    const index = low < high ? texts.endOf(here) : undefined;
    const next = index === undefined ? undefined : after(index);
    const more = high - low > (index === undefined ? 0 : 1) && goesOn(here);
    if (!next && !more) {
      node = ends[node] as number;
      continue;
    }
    const token = tokens[node] as number;
    for (let id = token; id >= 0; id = same[id] as number) {
      mask[id >> 5] = (mask[id >> 5] as number) | (1 << (id & 31));
    }
    const isInside = (ends[node] as number) > node + 1;
    if (next) {
      if (token >= 0 && next.accepting && next.items.length === 0) finals.push(node);
      if (isInside) {
        const nodes = exits.get(next);
        if (nodes) nodes.push(node);
        else exits.set(next, [node]);
      }
    }
    lows[depth + 1] = low;
    highs[depth + 1] = high;
    node = more ? node + 1 : (ends[node] as number);
  }
  return { exits, finals };
}
