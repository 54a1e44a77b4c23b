// What a KV strategy is: device memory for keys and values, sequences in it, and the inputs a plan needs to reach them.

import type { NDArray } from '../array/array.ts';
import type { InputSpec } from '../array/compile.ts';
import { IngotError } from '../base/errors.ts';
import type { DynDim } from '../base/shape.ts';
import type { KVCache } from '../nn/contracts.ts';

/** Keys and values of one sequence in host memory, in a form that every strategy reads. */
export interface CacheSnapshot {
  readonly dtype: 'f16' | 'f32';
  /** Positions of the sequence. */
  readonly length: number;
  /** The first position that is in `layers`; those before it had left every window. */
  readonly first: number;
  /** As CacheSequence.earliestTrim. */
  readonly earliestTrim: number;
  /** Per layer `[Hkv, length - first, Dh]`; zeros where a layer's own window has left. */
  readonly layers: readonly { readonly keys: Uint8Array; readonly values: Uint8Array }[];
}

/** A sequence of positions 0 … length - 1. Used by one step at a time. */
export interface CacheSequence {
  readonly store: CacheStore;
  /** Positions that are written, or will be by the steps submitted so far. */
  readonly length: number;
  /** The shortest length other than 0 that `trim` takes: windowed layers have lost what is needed before it. */
  readonly earliestTrim: number;
  /** Makes room for `rows` more positions, which the next step writes. False, with nothing changed, when there is none. */
  extend(rows: number): boolean;
  /** Forgets the positions from `length` on. Throws invalid_argument when it is longer than the sequence or before earliestTrim. */
  trim(length: number): void;
  /** A sequence with the same positions that goes its own way, in this store or in one that is freed with it. Throws out_of_memory. */
  fork(): Promise<CacheSequence>;
  /** As of the steps submitted so far. */
  snapshot(): Promise<CacheSnapshot>;
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
  /** Inputs of a plan over this store beside ids and positions; `rows` is the dimension of both. */
  inputs(rows: DynDim): Readonly<Record<string, InputSpec>>;
  /** The cache that a model gets while such a plan is traced. */
  view(inputs: Readonly<Record<string, NDArray>>): KVCache;
  /** Values of those inputs for a step whose rows are those of `parts`, in this order. */
  bind(parts: readonly SequenceRows[]): Readonly<Record<string, Int32Array>>;
  /** An empty sequence. Throws out_of_memory when the store holds no more of them. */
  create(): CacheSequence;
  /** A sequence with the positions of a snapshot, of any strategy with the same layers and dtype. Throws out_of_memory. */
  restore(snapshot: CacheSnapshot): Promise<CacheSequence>;
  dispose(): void;
}

/** @throws IngotError `invalid_argument` for a length that the sequence cannot be cut to. */
export function checkTrim({ length, earliestTrim }: CacheSequence, to: number): void {
  if (Number.isInteger(to) && to >= 0 && to <= length && (to === 0 || to >= earliestTrim)) return;
  throw new IngotError(
    'invalid_argument',
    `a sequence of ${length} positions can be cut to 0 or to ${earliestTrim} … ${length} of them, not to ${to}`,
  );
}

/** @throws IngotError `invalid_argument` for a snapshot that a store cannot hold. */
export function checkSnapshot(
  { dtype, layers, length }: CacheSnapshot,
  store: { readonly dtype: 'f16' | 'f32'; readonly layers: number; readonly positions: number },
): void {
  if (dtype === store.dtype && layers.length === store.layers && length <= store.positions) return;
  throw new IngotError(
    'invalid_argument',
    `a snapshot of ${length} positions of ${layers.length} layers as ${dtype} does not fit a KV cache for ${store.positions} positions of ${store.layers} layers as ${store.dtype}`,
  );
}
