// What one token costs in a model: the weights it is multiplied with and the bytes they take as the kernels read them.
// These set the floors that a measured speed is held against; docs/performance.md derives them.

import type { ModelConfig } from '../models/contract.ts';
import type { Checkpoint } from '../weights/checkpoint.ts';
import { loadedBytes } from '../weights/chunks.ts';

export interface TokenCost {
  /** Matrix weights of the layers that a token is multiplied with. Without the output head, which a prefill needs for one row. */
  readonly weights: number;
  /** Bytes of weights that decoding a token reads, output head included. */
  readonly bytes: number;
}

const embedding = 'model.embed_tokens.weight';

/** The cost from headers alone. The embedding matrix counts only where it is the output head as well. */
export function tokenCost(checkpoint: Checkpoint, config: ModelConfig): TokenCost {
  let weights = 0;
  let bytes = 0;
  for (const name of checkpoint.tensors) {
    const tensor = checkpoint.describe(name);
    // A stack `[E, N, K]` of experts; its parts by their own names are the same bytes again.
    if (/\.experts\.\d+\./.test(name)) continue;
    // Biases of a stack are stored as one row.
    const matrix = /\.experts\..*\.bias$/.test(name) ? name.replace(/bias$/, 'weight') : name;
    const { shape } = checkpoint.has(matrix) ? checkpoint.describe(matrix) : tensor;
    const [experts = 1] = shape;
    const share = shape.length === 3 ? (config.expertsPerToken ?? experts) / experts : 1;
    if (name === embedding && checkpoint.has('lm_head.weight')) continue;
    bytes += loadedBytes(tensor) * share;
    if (tensor.shape.length > 1 && name !== embedding && name !== 'lm_head.weight') {
      weights += tensor.shape.reduce((product, n) => product * n, 1) * share;
    }
  }
  return { weights, bytes };
}
