// Multi-head latent attention (DeepSeek V2, https://arxiv.org/abs/2405.04434): what is kept of a token is one compressed row
// and one rotated key for all heads. Queries are brought into the space of the rows, and sums of rows back into that of values,
// so that keys and values of heads are never made.

import type { NDArray } from '../../array/array.ts';
import { zeros } from '../../array/creation.ts';
import { concat } from '../../array/ops/concat.ts';
import { matmul, matmulTransposed } from '../../array/ops/matmul.ts';
import type { Dim } from '../../base/shape.ts';
import type { AttendOptions, SequenceMemory } from '../../nn/contracts.ts';
import type { Linear } from '../../nn/linear.ts';
import { RmsNorm } from '../../nn/rms-norm.ts';
import { type Loading, loadLinear } from '../blocks/load.ts';
import type { Rotate } from '../blocks/rotary.ts';
import type { LatentAttentionConfig } from './config.ts';

/** Eps of the norms of compressed rows, whatever the config says of the others. */
const latentEps = 1e-6;

/** What one layer's attention is made from. */
export interface LatentAttentionParts {
  readonly config: LatentAttentionConfig;
  readonly hiddenSize: number;
  readonly rotate: Rotate;
}

export class LatentAttention {
  readonly #config: LatentAttentionConfig;
  readonly #rotate: Rotate;
  readonly #options: AttendOptions;
  readonly #queries: (x: NDArray) => NDArray;
  readonly #compress: Linear;
  readonly #norm: RmsNorm;
  /** `[H, plainDim + valueDim, rank]`: from a row to the keys of a head without rotation, then to its values. */
  readonly #expand: NDArray;
  readonly #output: Linear;

  constructor(from: Loading, name: string, { config, hiddenSize, rotate }: LatentAttentionParts) {
    const { numHeads, rank, plainDim, valueDim, bias, scale } = config;
    const ropeDim = config.rope.rotaryDim;
    this.#config = config;
    this.#rotate = rotate;
    this.#options = { scale, precision: from.options.precision === 'exact' ? 'exact' : 'fast' };
    this.#queries = loadQueries(from, name, config, hiddenSize);
    this.#compress = loadLinear(from, `${name}.kv_a_proj_with_mqa`, [rank + ropeDim, hiddenSize], bias);
    this.#norm = new RmsNorm(from.load.vector(`${name}.kv_a_layernorm.weight`, rank), latentEps);
    const rows = numHeads * (plainDim + valueDim);
    this.#expand = from.load
      .floats(`${name}.kv_b_proj.weight`, [rows, rank])
      .reshape([numHeads, plainDim + valueDim, rank]);
    this.#output = loadLinear(from, `${name}.o_proj`, [hiddenSize, numHeads * valueDim], bias);
  }

  /** x `[n, D]` at positions i32 `[n]` -> `[n, D]`. */
  apply(x: NDArray, positions: NDArray, memory: SequenceMemory, layer: number): NDArray {
    const { numHeads, rank, plainDim, rope: rotation } = this.#config;
    const ropeDim = rotation.rotaryDim;
    const rows: Dim = x.shape[0] ?? 0;
    const q = this.#queries(x).reshape([rows, numHeads, plainDim + ropeDim]);
    const compressed = this.#compress.apply(x);
    const latent = this.#norm.apply(compressed.slice(null, [0, rank]));
    const key = this.#rotate(
      compressed.slice(null, [rank, rank + ropeDim]).reshape([rows, 1, ropeDim]),
      positions,
    );
    const row = concat([latent, key.reshape([rows, ropeDim])], 1);
    const query = this.#intoRows(q.slice(null, null, [0, plainDim]));
    const turned = this.#rotate(q.slice(null, null, [plainDim, plainDim + ropeDim]), positions);
    const sums = memory.latent(layer, concat([query, turned], 2), row, positions, this.#options);
    return this.#output.apply(this.#intoValues(sums));
  }

  /** `[n, H, plainDim]` -> `[n, H, rank]` */
  #intoRows(q: NDArray): NDArray {
    const { numHeads, valueDim } = this.#config;
    const byHead = q.transpose([1, 0, 2]);
    // Values have no part in it: zeros keep the one matrix that both directions share in one piece.
    const padded = concat([byHead, zeros([numHeads, q.shape[0] ?? 0, valueDim])], 2);
    return matmul(padded, this.#expand).transpose([1, 0, 2]);
  }

  /** `[n, H, rank]` -> `[n, H * valueDim]` */
  #intoValues(sums: NDArray): NDArray {
    const { numHeads, plainDim, valueDim } = this.#config;
    const expanded = matmulTransposed(sums.transpose([1, 0, 2]), this.#expand);
    const values = expanded.slice(null, null, [plainDim, plainDim + valueDim]).transpose([1, 0, 2]);
    return values.reshape([sums.shape[0] ?? 0, numHeads * valueDim]);
  }
}

/** From x `[n, D]` to the queries of all heads, in one step or over a compressed row. */
function loadQueries(
  from: Loading,
  name: string,
  { numHeads, queryRank, plainDim, rope: { rotaryDim }, bias }: LatentAttentionConfig,
  hiddenSize: number,
): (x: NDArray) => NDArray {
  const size = numHeads * (plainDim + rotaryDim);
  if (queryRank === undefined) {
    const whole = loadLinear(from, `${name}.q_proj`, [size, hiddenSize]);
    return (x) => whole.apply(x);
  }
  const down = loadLinear(from, `${name}.q_a_proj`, [queryRank, hiddenSize], bias);
  const norm = new RmsNorm(from.load.vector(`${name}.q_a_layernorm.weight`, queryRank), latentEps);
  const up = loadLinear(from, `${name}.q_b_proj`, [size, queryRank]);
  return (x) => up.apply(norm.apply(down.apply(x)));
}
