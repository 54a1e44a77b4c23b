// Linear maps.

import { type Given, named } from '../../array/arguments.ts';
import type { NDArray } from '../../array/array.ts';
import { einsum } from '../../array/functions/einsum.ts';
import { takeAlongAxis } from '../../array/ops/indexing/take-along-axis.ts';
import { Module } from '../module.ts';
import { uniform, zeros } from './initializers.ts';
import { expectWidth } from './shapes.ts';

export interface BiasOption {
  /** Whether something is added to the product. Default true. */
  readonly bias?: boolean;
}

/** y = x Wᵀ + b: `[…, inputs]` -> `[…, outputs]` with `weight` `[outputs, inputs]` and `bias` `[outputs]`. */
export class Linear extends Module {
  weight: NDArray;
  bias: NDArray | undefined;

  /** Begins uniform within ±1 / sqrt(inputs). */
  constructor(inputs: number, outputs: number, ...given: Given<[bias: boolean], BiasOption>) {
    super();
    const { bias = true } = named<BiasOption>('Linear', ['bias'], given);
    const limit = 1 / Math.sqrt(inputs);
    this.weight = uniform(-limit, limit)([outputs, inputs]);
    this.bias = bias ? uniform(-limit, limit)([outputs]) : undefined;
  }

  forward(x: NDArray): NDArray {
    expectWidth(x, this.weight.shape[1], 'Linear');
    const y = x.matmul(this.weight.transpose());
    return this.bias === undefined ? y : y.add(this.bias);
  }
}

/** y of each output is x1ᵀ W x2 + b, with `weight` `[outputs, inputs2, inputs1]`. */
export class Bilinear extends Module {
  weight: NDArray;
  bias: NDArray | undefined;

  constructor(
    inputs1: number,
    inputs2: number,
    outputs: number,
    ...given: Given<[bias: boolean], BiasOption>
  ) {
    super();
    const { bias = true } = named<BiasOption>('Bilinear', ['bias'], given);
    const limit = 1 / Math.sqrt(inputs1);
    this.weight = uniform(-limit, limit)([outputs, inputs2, inputs1]);
    this.bias = bias ? uniform(-limit, limit)([outputs]) : undefined;
  }

  /** `[…, inputs1]` and `[…, inputs2]` -> `[…, outputs]`. */
  forward(x1: NDArray, x2: NDArray): NDArray {
    expectWidth(x1, this.weight.shape[2], 'Bilinear');
    expectWidth(x2, this.weight.shape[1], 'Bilinear');
    const y = einsum('...i,oji,...j->...o', x1, this.weight, x2);
    return this.bias === undefined ? y : y.add(this.bias);
  }
}

/** Its input. Takes any arguments, so that it stands in for any layer. */
export class Identity extends Module {
  constructor(..._given: readonly unknown[]) {
    super();
  }
  forward(x: NDArray): NDArray {
    return x;
  }
}

/** A matrix for each expert: `weight` `[experts, outputs, inputs]`, `bias` `[experts, outputs]`. */
export class SwitchLinear extends Module {
  weight: NDArray;
  bias: NDArray | undefined;

  constructor(inputs: number, outputs: number, experts: number, { bias = false }: BiasOption = {}) {
    super();
    const limit = 1 / Math.sqrt(inputs);
    this.weight = uniform(-limit, limit)([experts, outputs, inputs]);
    this.bias = bias ? zeros([experts, outputs]) : undefined;
  }

  /**
   * x `[n, inputs]`, or `[n, k, inputs]` with a row for each choice, times the matrices that `ids` `[n, k]` picks: `[n, k, outputs]`.
   * All experts are computed and the chosen kept: exact and differentiable, for numbers of experts that are trained on one machine.
   */
  forward(x: NDArray, ids: NDArray): NDArray {
    expectWidth(x, this.weight.shape[2], 'SwitchLinear');
    const own = x.shape.length === 3;
    const all = einsum(own ? 'nki,eoi->nkeo' : 'ni,eoi->neo', x, this.weight);
    const y = this.bias === undefined ? all : all.add(this.bias);
    const [n = 0, k = 0] = ids.shape;
    return own
      ? takeAlongAxis(y, ids.reshape([n, k, 1, 1]), 2).reshape([n, k, this.weight.shape[1] as number])
      : takeAlongAxis(y, ids.reshape([n, k, 1]), 1);
  }
}
