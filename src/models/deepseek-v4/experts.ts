// Experts of DeepSeek V4: chosen by a router, in the first layers by the token's id, and one that every token goes through.

import type { NDArray } from '../../array/array.ts';
import { pickScores } from '../../array/ops/experts/moe-route.ts';
import { take } from '../../array/ops/indexing/take.ts';
import type { Linear } from '../../nn/linear.ts';
import { finely, type Loading, loadLinear } from '../blocks/load.ts';
import { Mlp } from '../blocks/mlp.ts';
import { Experts } from '../blocks/moe.ts';
import { layerNames } from '../blocks/names.ts';
import { type Routes, route, routeWeights, scoresOf } from '../blocks/router.ts';
import type { LayerExperts } from './config.ts';

export class TokenExperts {
  readonly #config: LayerExperts;
  readonly #router: Linear;
  /** `[E]`, added to scores for the choice. */
  readonly #correction: NDArray | undefined;
  /** f32 `[V, k]`: the experts of each token. */
  readonly #table: NDArray | undefined;
  readonly #experts: Experts;
  readonly #shared: Mlp;

  constructor(
    from: Loading,
    layer: number,
    config: LayerExperts,
    sizes: { readonly hiddenSize: number; readonly vocabSize: number },
  ) {
    const { numExperts, topK, byToken, activation, gate, shared } = config;
    const { hiddenSize, vocabSize } = sizes;
    const names = layerNames(layer).moe;
    this.#config = config;
    this.#router = loadLinear(finely(from), names.router, [numExperts, hiddenSize]);
    this.#correction = byToken ? undefined : from.load.vector(`${names.router}.bias`, numExperts);
    this.#table = byToken
      ? from.load
          .floats(`${names.router}.tid2eid.weight`, [vocabSize, topK], numExperts)
          .reshape([vocabSize, topK])
      : undefined;
    this.#experts = new Experts(from, names, config, hiddenSize);
    const { intermediateSize } = shared;
    const mlp = { kind: 'dense', intermediateSize, activation, gated: true, bias: false } as const;
    this.#shared = new Mlp(from, names.shared, { ...mlp, ...(gate && { gate }) }, hiddenSize);
  }

  /** x `[n, D]` of tokens i32 `[n]` -> `[n, D]`. */
  apply(x: NDArray, tokens: NDArray): NDArray {
    return this.#experts.apply(x, this.#routes(x, tokens)).add(this.#shared.apply(x));
  }

  #routes(x: NDArray, tokens: NDArray): Routes {
    const { topK, router } = this.#config;
    const logits = this.#router.apply(x);
    if (this.#table === undefined)
      return route(logits, topK, router, this.#correction, this.#experts.reroute);
    const ids = take(this.#table, tokens, 0).cast('i32');
    return [ids, routeWeights(pickScores(scoresOf(logits, router.score), ids), router)];
  }
}
