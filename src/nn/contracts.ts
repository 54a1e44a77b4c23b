// What a model asks of the place where its keys and values live. Models know this contract and no cache; caches know
// layer shapes and no model.

import type { NDArray } from '../array/array.ts';

/** Keys and values of one layer: what a cache must make room for. */
export interface KvLayerSpec {
  readonly numKvHeads: number;
  readonly headDim: number;
  /** Row at position p attends to positions p - window + 1 … p; undefined: to all up to p. */
  readonly window?: number;
}

export interface AttendOptions {
  /** Multiplies q·k before the softmax. */
  readonly scale: number;
  /** Sliding window in tokens, the row's own position included. */
  readonly window?: number;
  /** Scores become softcap * tanh(score / softcap). */
  readonly softcap?: number;
  /** `[H]`: one extra score per head that takes part in the softmax and has no value. */
  readonly sinks?: NDArray;
  /** `fast` (the default) lets keys and values of an f16 cache be rounded to bf16; `exact` does not. */
  readonly precision?: 'fast' | 'exact';
}

/**
 * Keys and values of all layers of one sequence. Positions are given by the caller, so going back to a shorter prefix
 * needs no call: later writes overwrite.
 */
export interface KVCache {
  /**
   * Writes k, v `[n, Hkv, Dh]` of `layer` at `positions` (i32 `[n]`, ascending) and attends: causal, row i sees
   * positions 0 … positions[i], of which the last `window`. q is `[n, H, Dh]` with H a multiple of Hkv; rotation is
   * already applied. Returns `[n, H, Dh]`. Throws shape_mismatch when the layer has other shapes.
   */
  attend(
    layer: number,
    q: NDArray,
    k: NDArray,
    v: NDArray,
    positions: NDArray,
    options: AttendOptions,
  ): NDArray;
}
