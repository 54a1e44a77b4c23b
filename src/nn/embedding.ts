// Embedding: rows of a packed matrix by token id; the same matrix may serve as output head.

import type { NDArray } from '../array/array.ts';
import { embedding } from '../array/ops/linear/embedding.ts';
import type { Weight } from '../array/weight.ts';

/** ids i32 `[n]` -> `[n, D]`, rows of W `[V, D]` dequantised to f32. */
export class Embedding {
  readonly weight: Weight;

  constructor(weight: Weight) {
    this.weight = weight;
  }

  apply(ids: NDArray): NDArray {
    return embedding(ids, this.weight);
  }
}
