// What a strategy is: device memory for what layers keep, sequences in it, and the inputs a plan needs to reach them.

import type { NDArray } from '../array/array.ts';
import type { InputSpec } from '../array/compile.ts';
import { IngotError } from '../base/errors.ts';
import type { DynDim } from '../base/shape.ts';
import type { LayerSpec, SequenceMemory } from '../nn/contracts.ts';
import { type CacheDtype, partsOf } from './parts.ts';
import type { TierCounters } from './tiered.ts';

/** What one part of a layer keeps of a sequence, in host memory. */
export interface LayerSnapshot {
  /** The first position that is in `arrays`; those before it are not needed to go on from the end. */
  readonly first: number;
  /** Each `[heads, rows, width]`, in the order of the layer's spec: a row for each position or block from `first` on, or one state. */
  readonly arrays: readonly Uint8Array[];
}

/** A sequence in host memory, in a form that every strategy reads. */
export interface CacheSnapshot {
  readonly dtype: CacheDtype;
  /** Positions of the sequence. */
  readonly length: number;
  /** The parts of each layer; none for layers that keep nothing. */
  readonly layers: readonly (readonly LayerSnapshot[])[];
}

/** A sequence of positions 0 … length - 1. Used by one step at a time. */
export interface CacheSequence {
  readonly store: CacheStore;
  /** Positions that are written, or will be by the steps submitted so far. */
  readonly length: number;
  /**
   * The longest length of at most `length` that `trim` takes: less than asked for where windows have lost what is needed
   * before it, or where a recurrent state has its last checkpoint.
   */
  checkpoint(length: number): number;
  /** Makes room for `rows` more positions, which the next step writes. False, with nothing changed, when there is none. */
  extend(rows: number): boolean;
  /**
   * Takes what it needs to be extended by `rows` positions, in steps as large as the store allows: they will not fail.
   * False, with nothing changed, when there is no room.
   */
  reserve(rows: number): boolean;
  /** Forgets the positions from `length` on. Throws invalid_argument for a length that is no checkpoint. */
  trim(length: number): void;
  /** A sequence with the same positions that goes its own way, in this store or in one that is freed with it. Throws out_of_memory. */
  fork(): Promise<CacheSequence>;
  /** As of the steps submitted so far; of layers that see everything only the positions from `from` (default 0) on. */
  snapshot(from?: number): Promise<CacheSnapshot>;
  /** Gives the memory back at once; steps in flight may still use it, those submitted later come after them. */
  dispose(): void;
}

/** Rows that one sequence has in a step: its last `rows` positions. */
export interface SequenceRows {
  readonly sequence: CacheSequence;
  readonly rows: number;
}

export interface CacheStore {
  /** Device memory, taken when the store is made. */
  readonly bytes: number;
  /** The part of it that sequences use. */
  readonly bytesUsed: number;
  /** The part of it that known prefixes keep, also those that a sequence uses. */
  readonly prefixBytes: number;
  /** What is in memory of it and what on disk, where pages may be in either. */
  readonly tier?: TierCounters | undefined;
  /** Inputs of a plan over this store beside ids and positions; `rows` is the dimension of both. */
  inputs(rows: DynDim): Readonly<Record<string, InputSpec>>;
  /** What a model gets while such a plan is traced. */
  view(inputs: Readonly<Record<string, NDArray>>): SequenceMemory;
  /** Values of those inputs for a step whose rows are those of `parts`, in this order. */
  bind(parts: readonly SequenceRows[]): Readonly<Record<string, Int32Array>>;
  /** An empty sequence. Throws out_of_memory when the store holds no more of them. */
  create(): CacheSequence;
  /** A sequence that begins with the longest known prefix of `tokens`, at most `atMost` of them. Throws out_of_memory. */
  createFrom(tokens: readonly number[], atMost: number): CacheSequence;
  /** Remembers what a sequence has of the first `length` of its tokens, which are written: what `createFrom` knows. */
  remember(sequence: CacheSequence, tokens: readonly number[], length: number): void;
  /** Forgets all prefixes: what computes keys and values from now on may round them otherwise. */
  forgetPrefixes(): void;
  /**
   * Positions that a sequence can be extended by when each of `others` is left room to go on; what only prefixes keep
   * counts as free.
   */
  available(others: number): number;
  /** A sequence with the positions of a snapshot, of any strategy with the same layers and dtype. Throws out_of_memory. */
  restore(snapshot: CacheSnapshot): Promise<CacheSequence>;
  dispose(): void;
}

/** @throws IngotError `invalid_argument` for a length that the sequence cannot be cut to. */
export function checkTrim(sequence: CacheSequence, to: number): void {
  const { length } = sequence;
  if (!Number.isInteger(to) || to < 0 || to > length) {
    throw new IngotError(
      'invalid_argument',
      `a sequence of ${length} positions can be cut to 0 … ${length} of them, not to ${to}`,
    );
  }
  const possible = sequence.checkpoint(to);
  if (possible === to) return;
  throw new IngotError(
    'invalid_argument',
    `a sequence of ${length} positions cannot be cut to ${to} of them: what is needed to go on from there is gone, ${possible} is the longest that is possible`,
    { details: { length, to, possible } },
  );
}

/** @throws IngotError `invalid_argument` for a snapshot that a store cannot hold. */
export function checkSnapshot(
  { dtype, layers, length }: CacheSnapshot,
  store: { readonly dtype: CacheDtype; readonly specs: readonly LayerSpec[]; readonly positions: number },
): void {
  const { specs, positions } = store;
  const same =
    layers.length === specs.length &&
    specs.every((spec, i) => partsOf(spec, store.dtype).length === layers[i]?.length);
  if (dtype === store.dtype && same && length <= positions) return;
  throw new IngotError(
    'invalid_argument',
    `a snapshot of ${length} positions of ${layers.length} layers as ${dtype} does not fit a cache for ${positions} positions of ${specs.length} layers as ${store.dtype}`,
  );
}
