// Embedding: rows of a packed matrix by token id; the same matrix may serve as output head.

import type { NDArray } from '../array/array.ts';
import { embedding } from '../array/ops/linear/embedding.ts';
import type { Weight } from '../array/weight.ts';
import { Part } from './part.ts';

/** ids i32 `[n]` -> `[n, D]`, rows of W `[V, D]` dequantised to f32. */
export class Embedding extends Part {
  readonly weight: Weight;

  constructor(weight: Weight) {
    super();
    this.weight = weight;
  }

  get width(): number {
    return this.weight.shape[1] ?? 0;
  }

  protected override leading(ids: NDArray): NDArray['shape'] {
    return ids.shape;
  }

  forward(ids: NDArray): NDArray {
    return embedding(ids, this.weight);
  }
}
