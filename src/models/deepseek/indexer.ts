// The indexer of DeepSeek V3.2: small heads that rank the positions before a row by themselves. Its rotation turns the halves
// of the first columns, where attention turns neighbours; its keys have a LayerNorm.

import type { NDArray } from '../../array/array.ts';
import type { PositionIndex } from '../../nn/contracts.ts';
import { LayerNorm } from '../../nn/layer-norm.ts';
import type { Linear } from '../../nn/linear.ts';
import { finely, type Loading, loadLinear, named } from '../blocks/load.ts';
import type { Rotate } from '../blocks/rotary.ts';

export interface IndexerConfig {
  readonly heads: number;
  readonly headDim: number;
  /** Positions that a row attends to at most. */
  readonly count: number;
}

const keyNormEps = 1e-6;

export class Indexer {
  readonly #config: IndexerConfig;
  readonly #rotate: Rotate;
  readonly #query: Linear;
  readonly #key: Linear;
  readonly #norm: LayerNorm;
  readonly #weights: Linear;

  /** Queries are made of the compressed ones of attention, `[n, queryRank]`. */
  constructor(
    from: Loading,
    name: string,
    config: IndexerConfig,
    sizes: { readonly hiddenSize: number; readonly queryRank: number; readonly rotate: Rotate },
  ) {
    const { heads, headDim } = config;
    const { hiddenSize, queryRank, rotate } = sizes;
    const fine = finely(from); // rounded scores would choose other positions
    this.#config = config;
    this.#rotate = rotate;
    this.#query = loadLinear(fine, `${name}.wq_b`, [heads * headDim, queryRank]);
    this.#key = loadLinear(fine, `${name}.wk`, [headDim, hiddenSize]);
    const [weight, bias] = ['weight', 'bias'].map((part) =>
      from.load.vector(`${name}.k_norm.${part}`, headDim),
    );
    this.#norm = named(from, `${name}.k_norm`, new LayerNorm(weight as NDArray, bias, keyNormEps));
    this.#weights = loadLinear(fine, `${name}.weights_proj`, [heads, hiddenSize]);
  }

  /** x `[n, D]` and its compressed queries at positions i32 `[n]`. */
  apply(x: NDArray, compressed: NDArray, positions: NDArray): PositionIndex {
    const { heads, headDim, count } = this.#config;
    const rows = x.shape[0] ?? 0;
    const query = this.#rotate(this.#query.apply(compressed).reshape([rows, heads, headDim]), positions);
    const key = this.#rotate(this.#norm.apply(this.#key.apply(x)).reshape([rows, 1, headDim]), positions);
    return {
      query,
      key: key.reshape([rows, headDim]),
      // The scale of products is above 0, so it may stand outside of max(0, …).
      weights: this.#weights.apply(x).mul((heads * headDim) ** -0.5),
      count,
    };
  }
}
