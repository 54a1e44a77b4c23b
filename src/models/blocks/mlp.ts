// Gated MLP: down(act(gate(x)) * up(x)).

import type { NDArray } from '../../array/array.ts';
import { gelu } from '../../array/ops/gelu.ts';
import { geluTanh } from '../../array/ops/gelu-tanh.ts';
import { silu } from '../../array/ops/silu.ts';
import type { Linear } from '../../nn/linear.ts';
import type { Activation, MlpConfig } from '../config/decoder.ts';
import { type Loading, loadLinear } from './load.ts';
import type { MlpNames } from './names.ts';

const activations: Readonly<Record<Activation, (x: NDArray) => NDArray>> = {
  silu,
  gelu_erf: gelu,
  gelu_tanh: geluTanh,
};

/** x `[n, D]` -> `[n, D]`. */
export class Mlp {
  readonly #gate: Linear;
  readonly #up: Linear;
  readonly #down: Linear;
  readonly #activation: (x: NDArray) => NDArray;

  constructor(from: Loading, names: MlpNames, config: MlpConfig, hiddenSize: number) {
    const { intermediateSize, bias } = config;
    this.#gate = loadLinear(from, names.gate, [intermediateSize, hiddenSize], bias);
    this.#up = loadLinear(from, names.up, [intermediateSize, hiddenSize], bias);
    this.#down = loadLinear(from, names.down, [hiddenSize, intermediateSize], bias);
    this.#activation = activations[config.activation];
  }

  apply(x: NDArray): NDArray {
    return this.#down.apply(this.#activation(this.#gate.apply(x)).mul(this.#up.apply(x)));
  }
}
