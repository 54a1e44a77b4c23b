// What the activations of configs compute: one table.

import type { NDArray } from '../../array/array.ts';
import { gelu } from '../../array/ops/elementwise/gelu.ts';
import { geluTanh } from '../../array/ops/elementwise/gelu-tanh.ts';
import { silu } from '../../array/ops/elementwise/silu.ts';
import type { Activation } from '../config/activations.ts';
import type { GateConfig } from '../config/experts.ts';

export const activations: Readonly<Record<Activation, (x: NDArray) => NDArray>> = {
  silu,
  gelu_erf: gelu,
  gelu_tanh: geluTanh,
};

/** What a gate lets through: activation(gate) * up, or what `config` makes of it. */
export function gated(activation: Activation, gate: NDArray, up: NDArray, config: GateConfig = {}): NDArray {
  const { limit, alpha, offset } = config;
  const open = limit === undefined ? gate : gate.minimum(limit);
  const through = limit === undefined ? up : up.minimum(limit).maximum(-limit);
  const act = alpha === undefined ? activations[activation](open) : open.mul(open.mul(alpha).sigmoid());
  return act.mul(offset === undefined ? through : through.add(offset));
}
