// Multi-head latent attention (DeepSeek V2, https://arxiv.org/abs/2405.04434): what is kept of a token is one compressed row
// and one rotated key for all heads. Queries are brought into the space of the rows, and sums of rows back into that of values,
// so that keys and values of heads are never made.

import type { NDArray } from '../../array/array.ts';
import { concat } from '../../array/ops/shape/concat.ts';
import type { Dim } from '../../base/shape.ts';
import type { AttendOptions, SequenceMemory } from '../../nn/contracts.ts';
import type { Linear } from '../../nn/linear.ts';
import type { RmsNorm } from '../../nn/rms-norm.ts';
import { type Loading, loadLinear, loadRmsNorm } from '../blocks/load.ts';
import type { Rotate } from '../blocks/rotary.ts';
import type { LatentAttentionConfig } from './config.ts';
import { Indexer } from './indexer.ts';
import { type LatentSpace, loadLatentSpace } from './latent-space.ts';

/** Eps of the norms of compressed rows, whatever the config says of the others. */
const latentEps = 1e-6;

/** What one layer's attention is made from. */
export interface LatentAttentionParts {
  readonly config: LatentAttentionConfig;
  readonly hiddenSize: number;
  readonly rotate: Rotate;
  /** Of the indexer. */
  readonly rotateIndex: Rotate;
}

export class LatentAttention {
  readonly #config: LatentAttentionConfig;
  readonly #rotate: Rotate;
  readonly #options: AttendOptions;
  readonly #queries: (x: NDArray) => Queries;
  readonly #indexer: Indexer | undefined;
  readonly #compress: Linear;
  readonly #norm: RmsNorm;
  readonly #space: LatentSpace;
  readonly #output: Linear;

  constructor(from: Loading, name: string, parts: LatentAttentionParts) {
    const { config, hiddenSize, rotate, rotateIndex } = parts;
    const { numHeads, rank, valueDim, bias, scale, indexer, queryRank } = config;
    const ropeDim = config.rope.rotaryDim;
    this.#config = config;
    this.#rotate = rotate;
    this.#options = { scale, precision: from.options.precision === 'exact' ? 'exact' : 'fast' };
    this.#queries = loadQueries(from, name, config, hiddenSize);
    this.#compress = loadLinear(from, `${name}.kv_a_proj_with_mqa`, [rank + ropeDim, hiddenSize], bias);
    this.#norm = loadRmsNorm(from, `${name}.kv_a_layernorm`, rank, latentEps);
    this.#space = loadLatentSpace(from.load, name, config);
    this.#indexer =
      indexer && queryRank
        ? new Indexer(from, `${name}.indexer`, indexer, { hiddenSize, queryRank, rotate: rotateIndex })
        : undefined;
    this.#output = loadLinear(from, `${name}.o_proj`, [hiddenSize, numHeads * valueDim], bias);
  }

  /** x `[n, D]` at positions i32 `[n]` -> `[n, D]`. */
  apply(x: NDArray, positions: NDArray, memory: SequenceMemory, layer: number): NDArray {
    const { numHeads, rank, plainDim, valueDim, rope: rotation } = this.#config;
    const ropeDim = rotation.rotaryDim;
    const rows: Dim = x.shape[0] ?? 0;
    const queries = this.#queries(x);
    const q = queries.whole.reshape([rows, numHeads, plainDim + ropeDim]);
    const compressed = this.#compress.apply(x);
    const latent = this.#norm.apply(compressed.slice(null, [0, rank]));
    const key = this.#rotate(
      compressed.slice(null, [rank, rank + ropeDim]).reshape([rows, 1, ropeDim]),
      positions,
    );
    const row = concat([latent, key.reshape([rows, ropeDim])], 1);
    const query = byHead(this.#space.intoRows(byHead(q.slice(null, null, [0, plainDim]))));
    const turned = this.#rotate(q.slice(null, null, [plainDim, plainDim + ropeDim]), positions);
    const index = this.#indexer?.apply(x, queries.compressed, positions);
    const sums = memory.latent(layer, concat([query, turned], 2), row, positions, this.#options, index);
    const values = byHead(this.#space.intoValues(byHead(sums)));
    return this.#output.apply(values.reshape([rows, numHeads * valueDim]));
  }
}

/** Rows of heads as heads of rows, and back. */
const byHead = (x: NDArray): NDArray => x.transpose([1, 0, 2]);

/** Queries of all heads, and what they were made of. */
interface Queries {
  readonly whole: NDArray;
  readonly compressed: NDArray;
}

/** From x `[n, D]` to the queries of all heads, in one step or over a compressed row. */
function loadQueries(
  from: Loading,
  name: string,
  { numHeads, queryRank, plainDim, rope: { rotaryDim }, bias }: LatentAttentionConfig,
  hiddenSize: number,
): (x: NDArray) => Queries {
  const size = numHeads * (plainDim + rotaryDim);
  if (queryRank === undefined) {
    const whole = loadLinear(from, `${name}.q_proj`, [size, hiddenSize]);
    return (x) => ({ whole: whole.apply(x), compressed: x });
  }
  const down = loadLinear(from, `${name}.q_a_proj`, [queryRank, hiddenSize], bias);
  const norm = loadRmsNorm(from, `${name}.q_a_layernorm`, queryRank, latentEps);
  const up = loadLinear(from, `${name}.q_b_proj`, [size, queryRank]);
  return (x) => {
    const compressed = norm.apply(down.apply(x));
    return { whole: up.apply(compressed), compressed };
  };
}
