// What a model asks of the memory of its sequences. Each layer states what it keeps of the tokens before (a LayerSpec), and
// gets an object with one method for each kind while its graph is traced. Models know no cache; caches know specs and no model.

import type { NDArray } from '../array/array.ts';
import { IngotError } from '../base/errors.ts';

/** Vectors that one position leaves: `[heads, width]`. */
export interface HeadRows {
  readonly heads: number;
  readonly width: number;
}

/** Keys and values of all positions. */
export interface FullSpec {
  readonly kind: 'full';
  readonly keys: HeadRows;
  readonly values: HeadRows;
}

/** Keys and values of the last positions: the row at position p sees p - window + 1 … p. */
export interface WindowSpec {
  readonly kind: 'window';
  readonly window: number;
  readonly keys: HeadRows;
  readonly values: HeadRows;
}

/**
 * One row of each position that all heads share: `rank` compressed columns, which are keys and values, and `ropeDim`
 * rotated ones, which are keys only (multi-head latent attention, DeepSeek V2, https://arxiv.org/abs/2405.04434).
 */
export interface LatentSpec {
  readonly kind: 'latent';
  readonly rank: number;
  readonly ropeDim: number;
  /** Width of a key that an indexer leaves, where rows attend to the positions that it ranks best. */
  readonly indexDim?: number;
}

/**
 * One row of each of the last `window` positions, which is key and value of all heads, and, where there are `blocks`, one more row for
 * each block of positions behind (DeepSeek V4).
 */
export interface CompressedSpec {
  readonly kind: 'compressed';
  readonly window: number;
  readonly width: number;
  readonly blocks?: BlocksSpec;
}

/** Blocks of `ratio` positions, of each of which one entry is kept; what they are made of is kept while it is needed. */
export interface BlocksSpec {
  /** A divisor or a multiple of the 32 positions of a page. */
  readonly ratio: number;
  /** An entry is made of the block before as well. */
  readonly overlap: boolean;
  /** Width of the keys by which an indexer ranks blocks; without, rows attend to all of them. */
  readonly indexDim?: number;
}

/** State of fixed size that each position replaces, in f32: no row is ever read again. */
export interface RecurrentSpec {
  readonly kind: 'recurrent';
  readonly states: readonly { readonly shape: readonly number[] }[];
}

/** A layer that keeps nothing. */
export interface NoneSpec {
  readonly kind: 'none';
}

/** What one layer keeps of the positions before. */
export type LayerSpec = FullSpec | WindowSpec | LatentSpec | CompressedSpec | RecurrentSpec | NoneSpec;

/** Attention whose keys and values have the same heads; with `window`, of the last positions only. */
export function attentionSpec(heads: {
  readonly numKvHeads: number;
  readonly headDim: number;
  /** Default: headDim. */
  readonly valueDim?: number | undefined;
  readonly window?: number | undefined;
}): FullSpec | WindowSpec {
  const { numKvHeads, headDim, valueDim = headDim, window } = heads;
  const keys = { heads: numKvHeads, width: headDim };
  const values = { heads: numKvHeads, width: valueDim };
  return window === undefined ? { kind: 'full', keys, values } : { kind: 'window', window, keys, values };
}

/** A causal convolution over `taps` positions of `channels`: what it keeps are the inputs of the last taps - 1. */
export const convolutionSpec = (channels: number, taps: number): RecurrentSpec => ({
  kind: 'recurrent',
  states: [{ shape: [taps - 1, channels] }],
});

export interface AttendOptions {
  /** Multiplies q·k before the softmax. */
  readonly scale: number;
  /** Scores become softcap * tanh(score / softcap). */
  readonly softcap?: number;
  /** `[H]`: one extra score per head that takes part in the softmax and has no value. */
  readonly sinks?: NDArray;
  /** `fast` (the default) lets keys and values of an f16 cache be rounded to bf16; `exact` does not. */
  readonly precision?: 'fast' | 'exact';
}

/** What an indexer has of a step's rows, to choose the positions that they attend to (DeepSeek V3.2). */
export interface PositionIndex {
  /** f32 `[n, heads, indexDim]` */
  readonly query: NDArray;
  /** f32 `[n, heads]`: a position is as good as the sum over heads of weight * max(0, query · key). */
  readonly weights: NDArray;
  /** f32 `[n, indexDim]`, kept beside the rows. */
  readonly key: NDArray;
  /** Positions that a row attends to at most. */
  readonly count: number;
}

/** What makes one row of the rows of a block: a softmax over positions for each column, a norm, a rotation. */
export interface BlockRule {
  /** f32 `[ratio * columns]`, added to the gates of a block's positions; columns are those of a gate. */
  readonly bias: NDArray;
  /** f32 `[width]`: weight of the RMS norm, and its eps. */
  readonly norm: NDArray;
  readonly eps: number;
  /** f32 `[R / 2]`: the last R columns rotate in neighbouring pairs by the position of the block's first row. */
  readonly frequencies: NDArray;
  /** On sine and cosine. */
  readonly factor: number;
}

/** Values and gates of a step's rows, `[n, 2 * columns]`: columns are the entry's width, or twice it where blocks overlap (first
 * what goes into the next block's entry, then what goes into its own). */
export interface BlockRows {
  readonly rows: NDArray;
  readonly rule: BlockRule;
}

/** What a layer of kind `compressed` has of a step's rows. */
export interface CompressedRows {
  /** `[n, H, width]` */
  readonly query: NDArray;
  /** `[n, width]`, rotated. */
  readonly row: NDArray;
  /** For specs with blocks. */
  readonly blocks?: BlockRows | undefined;
  /** For specs with an index; `key` of the index is made of blocks, too. */
  readonly index?:
    | (Pick<PositionIndex, 'query' | 'weights' | 'count'> & { readonly blocks: BlockRows })
    | undefined;
}

export interface Convolution {
  /** f32 `[channels * taps]`, a channel's taps together; the last belongs to the row itself. */
  readonly weight: NDArray;
  /** f32 `[channels]` */
  readonly bias?: NDArray | undefined;
}

/**
 * What the layers of a model keep, for all sequences of a step. Rows are those of the step: one sequence's follow each
 * other, at ascending `positions` (i32 `[n]`) that continue it. Each layer calls the method of its kind once. Throws
 * invalid_argument for a layer of another kind, shape_mismatch when rows do not fit its spec.
 */
export interface SequenceMemory {
  /**
   * Layers of kind `full` and `window`. Keeps k `[n, Hkv, Dk]` and v `[n, Hkv, Dv]`, and attends: causal, a row sees its own
   * position and those before it that its spec keeps. q is `[n, H, Dk]` with H a multiple of Hkv; rotation is already
   * applied. Returns `[n, H, Dv]`.
   */
  attend(
    layer: number,
    q: NDArray,
    k: NDArray,
    v: NDArray,
    positions: NDArray,
    options: AttendOptions,
  ): NDArray;
  /**
   * Layers of kind `latent`. Keeps row `[n, rank + ropeDim]`, and attends causally with q `[n, H, rank + ropeDim]`, which is
   * in the space of the rows. Returns `[n, H, rank]`: weighted sums of their first columns. With an index, for specs with
   * `indexDim`, rows attend to the positions that it ranks best; softcap and sinks are not for those.
   */
  latent(
    layer: number,
    q: NDArray,
    row: NDArray,
    positions: NDArray,
    options: AttendOptions,
    index?: PositionIndex,
  ): NDArray;
  /**
   * Layers of kind `compressed`. Keeps the rows and makes entries of the blocks that they complete; a row attends to those of its
   * window and to the entries of blocks that end at or before it, or to those of them that its index ranks best: `[n, H, width]`.
   */
  compressed(layer: number, rows: CompressedRows, positions: NDArray, options: AttendOptions): NDArray;
  /**
   * Layers of kind `recurrent` that are convolutions. y of a channel at position p is bias + the sum over taps j of
   * weight[j] x[p - taps + 1 + j], with zeros before position 0: x `[n, channels]` -> `[n, channels]`.
   */
  convolve(layer: number, x: NDArray, positions: NDArray, convolution: Convolution): NDArray;
}

/** The spec of a layer, of the kind that a method is for. Throws invalid_argument. */
export function layerOfKind<K extends LayerSpec['kind']>(
  specs: readonly LayerSpec[],
  layer: number,
  kinds: readonly K[],
  method: string,
): Extract<LayerSpec, { kind: K }> {
  const spec = specs[layer];
  if (spec === undefined) {
    throw new IngotError(
      'invalid_argument',
      `sequence memory: layer ${layer} of ${specs.length} does not exist`,
    );
  }
  if ((kinds as readonly string[]).includes(spec.kind)) return spec as Extract<LayerSpec, { kind: K }>;
  throw new IngotError(
    'invalid_argument',
    `sequence memory: layer ${layer} is of kind ${spec.kind}, ${method} is for ${kinds.join(' and ')}`,
  );
}
