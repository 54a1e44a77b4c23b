// Mixture of experts: a router picks the top k of E gated MLPs for each token and mixes their outputs.

import type { NDArray } from '../../array/array.ts';
import { moeDown } from '../../array/ops/moe-down.ts';
import { moeGlu } from '../../array/ops/moe-glu.ts';
import { moeRoute } from '../../array/ops/moe-route.ts';
import type { Weight } from '../../array/weight.ts';
import type { Precision } from '../../kernel/signature.ts';
import type { Linear } from '../../nn/linear.ts';
import type { MoeConfig } from '../config/decoder.ts';
import { finely, type Loading, loadLinear } from './load.ts';
import type { MlpNames, MoeNames } from './names.ts';

/** x `[n, D]` -> `[n, D]`. */
export class Moe {
  readonly #config: MoeConfig;
  readonly #precision: Precision;
  readonly #router: Linear;
  readonly #gate: Weight;
  readonly #up: Weight;
  readonly #down: Weight;

  constructor(from: Loading, names: MoeNames, config: MoeConfig, hiddenSize: number) {
    const { numExperts, intermediateSize } = config;
    this.#config = config;
    this.#precision = from.options.precision;
    // A rounded router would pick other experts; it is small enough to be fine always.
    this.#router = loadLinear(finely(from), names.router, [numExperts, hiddenSize]);
    this.#gate = loadExperts(from, names, 'gate', [numExperts, intermediateSize, hiddenSize]);
    this.#up = loadExperts(from, names, 'up', [numExperts, intermediateSize, hiddenSize]);
    this.#down = loadExperts(from, names, 'down', [numExperts, hiddenSize, intermediateSize]);
  }

  apply(x: NDArray): NDArray {
    const { topK, normTopK, activation } = this.#config;
    const precision = this.#precision;
    const [ids, weights] = moeRoute(this.#router.apply(x), topK, { normTopk: normTopK });
    const hidden = moeGlu(x, ids, this.#gate, this.#up, { glu: activation, precision });
    return moeDown(hidden, ids, weights, this.#down, { precision });
  }
}

/** One tensor with all experts where the file has it, else one matrix per expert. */
function loadExperts(
  { load }: Loading,
  names: MoeNames,
  part: keyof MlpNames,
  shape: readonly [E: number, N: number, K: number],
): Weight {
  const stacked = `${names.stacked(part)}.weight`;
  if (load.has(stacked)) return load.experts(stacked, shape);
  const each = Array.from({ length: shape[0] }, (_, e) => `${names.expert(part, e)}.weight`);
  return load.experts(each, shape);
}
