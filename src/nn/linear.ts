// Linear: a packed matrix, an optional bias, and how exactly to multiply.

import type { NDArray } from '../array/array.ts';
import { linear } from '../array/ops/linear/linear.ts';
import type { Weight } from '../array/weight.ts';
import type { KernelPrecision } from '../kernel/signature.ts';
import { Part } from './part.ts';

export interface LinearOptions {
  /** `[N]` */
  readonly bias?: NDArray | undefined;
  /** `fast` may quantise activations to 8 bits, `fine` to 15. */
  readonly precision: KernelPrecision;
}

/** y = x Wᵀ + b with W `[N, K]`: `[..., K]` -> `[..., N]`. */
export class Linear extends Part {
  readonly weight: Weight;
  readonly bias: NDArray | undefined;
  readonly precision: KernelPrecision;

  constructor(weight: Weight, options: LinearOptions) {
    super();
    this.weight = weight;
    this.bias = options.bias;
    this.precision = options.precision;
  }

  get width(): number {
    return this.weight.shape[0] ?? 0;
  }

  forward(x: NDArray): NDArray {
    const { bias, precision } = this;
    return linear(x, this.weight, bias === undefined ? { precision } : { bias, precision });
  }
}
