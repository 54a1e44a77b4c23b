// Feed-forward of one token: down(act(gate(x)) * up(x)), or down(act(up(x))) where there is no gate.

import type { NDArray } from '../../array/array.ts';
import type { Linear } from '../../nn/linear.ts';
import type { MlpConfig } from '../config/decoder.ts';
import { activations, gated } from './activations.ts';
import { type Loading, loadLinear } from './load.ts';
import type { MlpNames } from './names.ts';

/** x `[n, D]` -> `[n, D]`. */
export class Mlp {
  readonly #gate: Linear | undefined;
  readonly #up: Linear;
  readonly #down: Linear;
  readonly #config: MlpConfig;

  constructor(from: Loading, names: MlpNames, config: MlpConfig, hiddenSize: number) {
    const { intermediateSize, bias, gated } = config;
    this.#gate = gated ? loadLinear(from, names.gate, [intermediateSize, hiddenSize], bias) : undefined;
    this.#up = loadLinear(from, names.up, [intermediateSize, hiddenSize], bias);
    this.#down = loadLinear(from, names.down, [hiddenSize, intermediateSize], bias);
    this.#config = config;
  }

  apply(x: NDArray): NDArray {
    return this.#down.apply(this.#hidden(x));
  }

  /** residual + apply(x) */
  addTo(residual: NDArray, x: NDArray): NDArray {
    return residual.add(this.apply(x));
  }

  #hidden(x: NDArray): NDArray {
    const { activation, gate } = this.#config;
    const up = this.#up.apply(x);
    if (this.#gate === undefined) return activations[activation](up);
    return gated(activation, this.#gate.apply(x), up, gate);
  }
}
