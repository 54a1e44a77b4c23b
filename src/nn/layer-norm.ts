// LayerNorm (Ba et al. 2016, arXiv:1607.06450): (x - mean) / deviation * w + b over the last axis.

import type { NDArray } from '../array/array.ts';
import { layerNorm } from '../array/ops/nn/layer-norm.ts';
import { Part } from './part.ts';

/** Normalises the last axis: `[..., D]` -> `[..., D]` with w `[D]` and, where there is one, b `[D]`. */
export class LayerNorm extends Part {
  readonly weight: NDArray;
  readonly bias: NDArray | undefined;
  /** Added to the variance. */
  readonly eps: number;

  constructor(weight: NDArray, bias: NDArray | undefined, eps: number) {
    super();
    this.weight = weight;
    this.bias = bias;
    this.eps = eps;
  }

  get width(): number {
    return Number(this.weight.shape[0] ?? 0);
  }

  forward(x: NDArray): NDArray {
    return layerNorm(x, this.weight, this.bias, this.eps);
  }
}
