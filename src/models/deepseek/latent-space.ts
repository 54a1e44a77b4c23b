// The two matrices between latent rows and heads. Files have them as one, from a row to the keys and values of a head, or
// apart, with the one for keys turned over (GGUF).

import type { NDArray } from '../../array/array.ts';
import { zeros } from '../../array/creation.ts';
import { matmul, matmulTransposed } from '../../array/ops/linear/matmul.ts';
import { concat } from '../../array/ops/shape/concat.ts';
import type { WeightLoader } from '../contract.ts';
import type { LatentAttentionConfig } from './config.ts';

export interface LatentSpace {
  /** Queries of heads, `[H, n, plainDim]` -> `[H, n, rank]`: their product with a row is that with the row's key. */
  intoRows(q: NDArray): NDArray;
  /** Sums of rows, `[H, n, rank]` -> `[H, n, valueDim]`. */
  intoValues(sums: NDArray): NDArray;
}

export function loadLatentSpace(
  load: WeightLoader,
  name: string,
  config: LatentAttentionConfig,
): LatentSpace {
  const { numHeads, rank, plainDim, valueDim } = config;
  if (load.has(`${name}.k_b_proj.weight`)) {
    const [keys, values] = [
      [numHeads, rank, plainDim],
      [numHeads, valueDim, rank],
    ].map((shape, i) => load.floats(`${name}.${i === 0 ? 'k' : 'v'}_b_proj.weight`, shape).reshape(shape));
    return {
      intoRows: (q) => matmulTransposed(q, keys as NDArray),
      intoValues: (sums) => matmulTransposed(sums, values as NDArray),
    };
  }
  const size = plainDim + valueDim;
  const both = load
    .floats(`${name}.kv_b_proj.weight`, [numHeads * size, rank])
    .reshape([numHeads, size, rank]);
  return {
    // Values have no part in it: zeros leave the matrix in one piece.
    intoRows: (q) => matmul(concat([q, zeros([numHeads, q.shape[1] ?? 0, valueDim])], 2), both),
    intoValues: (sums) => matmulTransposed(sums, both).slice(null, null, [plainDim, size]),
  };
}
