// Self-attention with grouped key/value heads, rotary positions and, where the family has them, biases and head norms.

import type { NDArray } from '../../array/array.ts';
import { rope } from '../../array/ops/rope.ts';
import type { AttendOptions, SequenceMemory } from '../../nn/contracts.ts';
import type { Linear } from '../../nn/linear.ts';
import type { RmsNorm } from '../../nn/rms-norm.ts';
import type { AttentionConfig } from '../config/decoder.ts';
import { type Loading, loadLinear, loadNorm } from './load.ts';
import type { AttentionNames } from './names.ts';
import type { Rotary } from './rotary.ts';

export class Attention {
  readonly #config: AttentionConfig;
  readonly #rotary: Rotary;
  readonly #options: AttendOptions;
  readonly #projections: { readonly q: Linear; readonly k: Linear; readonly v: Linear; readonly o: Linear };
  readonly #norms: { readonly q: RmsNorm; readonly k: RmsNorm } | undefined;

  constructor(from: Loading, names: AttentionNames, layer: AttentionLayer) {
    const { config, hiddenSize } = layer;
    const queries = config.numHeads * config.headDim;
    const keys = config.numKvHeads * config.headDim;
    this.#config = config;
    this.#rotary = layer.rotary;
    this.#options = {
      scale: config.headDim ** -0.5,
      precision: from.options.precision === 'exact' ? 'exact' : 'fast',
    };
    this.#projections = {
      q: loadLinear(from, names.q, [queries, hiddenSize], config.qkvBias),
      k: loadLinear(from, names.k, [keys, hiddenSize], config.qkvBias),
      v: loadLinear(from, names.v, [keys, hiddenSize], config.qkvBias),
      o: loadLinear(from, names.o, [hiddenSize, queries], config.outputBias),
    };
    this.#norms = config.qkNorm
      ? {
          q: loadNorm(from, names.qNorm, config.headDim, layer.normEps),
          k: loadNorm(from, names.kNorm, config.headDim, layer.normEps),
        }
      : undefined;
  }

  /** x `[n, D]` at positions i32 `[n]` -> `[n, D]`; keys and values go to the memory of `layer`. */
  apply(x: NDArray, positions: NDArray, memory: SequenceMemory, layer: number): NDArray {
    const { numHeads, numKvHeads, headDim } = this.#config;
    const { q, k, v, o } = this.#projections;
    const rows = x.shape[0] ?? 0;
    const queries = q.apply(x).reshape([rows, numHeads, headDim]);
    const keys = k.apply(x).reshape([rows, numKvHeads, headDim]);
    const values = v.apply(x).reshape([rows, numKvHeads, headDim]);
    const attended = memory.attend(
      layer,
      this.#rotate(this.#norms?.q.apply(queries) ?? queries, positions),
      this.#rotate(this.#norms?.k.apply(keys) ?? keys, positions),
      values,
      positions,
      this.#options,
    );
    return o.apply(attended.reshape([rows, numHeads * headDim]));
  }

  #rotate(x: NDArray, positions: NDArray): NDArray {
    const { invFreq, attentionFactor, rotaryDim } = this.#rotary;
    return rope(x, positions, invFreq, { rotaryDim, attentionScale: attentionFactor });
  }
}

/** What one layer's attention is made from. */
export interface AttentionLayer {
  readonly config: AttentionConfig;
  readonly hiddenSize: number;
  readonly normEps: number;
  readonly rotary: Rotary;
}
