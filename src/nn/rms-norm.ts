// RMSNorm (Zhang and Sennrich 2019, arXiv:1910.07467): x / rms(x) * w over the last axis.

import type { NDArray } from '../array/array.ts';
import { rmsNorm } from '../array/ops/nn/rms-norm.ts';
import { Part } from './part.ts';

/** Normalises the last axis: `[..., D]` -> `[..., D]` with w `[D]`. */
export class RmsNorm extends Part {
  readonly weight: NDArray;
  /** Added to the mean square. */
  readonly eps: number;

  constructor(weight: NDArray, eps: number) {
    super();
    this.weight = weight;
    this.eps = eps;
  }

  get width(): number {
    return Number(this.weight.shape[0] ?? 0);
  }

  forward(x: NDArray): NDArray {
    return rmsNorm(x, this.weight, this.eps);
  }
}
