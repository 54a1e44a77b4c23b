// A mixture of experts: each row goes through the feed-forward parts that a router picks (https://arxiv.org/abs/1701.06538).

import type { NDArray } from '../../array/array.ts';
import { topk } from '../../array/ops/indexing/topk.ts';
import { Module } from '../module.ts';
import { Linear, SwitchLinear } from './linear.ts';
import { divides, positive } from './shapes.ts';

export interface MixtureOfExpertsOptions {
  readonly dims: number;
  /** Width inside an expert. */
  readonly hidden: number;
  readonly experts: number;
  /** Experts that a row goes through. */
  readonly topK: number;
  /** On the gate; default silu. */
  readonly activation?: (x: NDArray) => NDArray;
}

/** Experts are down(activation(gate(x)) up(x)), weighted by the softmax of the chosen ones' scores: `[…, dims]` -> `[…, dims]`. */
export class MixtureOfExperts extends Module {
  router: Linear;
  gate: SwitchLinear;
  up: SwitchLinear;
  down: SwitchLinear;
  readonly topK: number;
  readonly activation: (x: NDArray) => NDArray;

  constructor({ dims, hidden, experts, topK, activation = (x) => x.silu() }: MixtureOfExpertsOptions) {
    super();
    positive(topK, 'MixtureOfExperts: topK');
    divides(1, dims, 'MixtureOfExperts: dims');
    this.router = new Linear(dims, experts, { bias: false });
    this.gate = new SwitchLinear(dims, hidden, experts);
    this.up = new SwitchLinear(dims, hidden, experts);
    this.down = new SwitchLinear(hidden, dims, experts);
    this.topK = topK;
    this.activation = activation;
  }

  forward(x: NDArray): NDArray {
    const rows = x.reshape([-1, x.shape.at(-1) as number]);
    const [scores, ids] = topk(this.router.forward(rows), this.topK);
    const inner = this.activation(this.gate.forward(rows, ids)).mul(this.up.forward(rows, ids));
    const outer = this.down.forward(inner, ids);
    const shares = scores.softmax(-1);
    return outer
      .mul(shares.reshape([...shares.shape, 1]))
      .sum(1)
      .reshape(x.shape);
  }
}
