// RMSNorm (Zhang and Sennrich 2019, arXiv:1910.07467): x / rms(x) * w over the last axis.

import type { NDArray } from '../array/array.ts';
import { rmsNorm } from '../array/ops/nn/rms-norm.ts';

/** Normalises the last axis: `[..., D]` -> `[..., D]` with w `[D]`. */
export class RmsNorm {
  readonly weight: NDArray;
  /** Added to the mean square. */
  readonly eps: number;

  constructor(weight: NDArray, eps: number) {
    this.weight = weight;
    this.eps = eps;
  }

  apply(x: NDArray): NDArray {
    return rmsNorm(x, this.weight, this.eps);
  }
}
