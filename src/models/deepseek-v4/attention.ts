// Attention of DeepSeek V4: one row of a position is key and value of all heads; besides the rows of its window a query sees one entry
// for each block of positions behind. As values rotate like keys, sums are turned back by the query's position.

import type { NDArray } from '../../array/array.ts';
import { arange, ones } from '../../array/creation.ts';
import { expertLinear } from '../../array/ops/experts/expert-linear.ts';
import { concat } from '../../array/ops/shape/concat.ts';
import type { Weight } from '../../array/weight.ts';
import type { BlockRows, BlockRule, CompressedRows, SequenceMemory } from '../../nn/contracts.ts';
import type { Linear } from '../../nn/linear.ts';
import { RmsNorm } from '../../nn/rms-norm.ts';
import { finely, type Loading, loadLinear, loadRmsNorm } from '../blocks/load.ts';
import type { Rotate } from '../blocks/rotary.ts';
import type { CompressedAttentionConfig } from './config.ts';

/** What one layer's attention is made from. */
export interface CompressedAttentionParts {
  readonly config: CompressedAttentionConfig;
  readonly hiddenSize: number;
  readonly eps: number;
  readonly rotate: Rotate;
  /** Of entries. */
  readonly table: { readonly frequencies: NDArray; readonly factor: number };
  /** `[headDim]`: the norm of queries has no weight. */
  readonly ones: NDArray;
}

export class CompressedAttention {
  readonly #parts: CompressedAttentionParts;
  readonly #precision: Loading['options']['precision'];
  readonly #queryDown: Linear;
  readonly #queryNorm: RmsNorm;
  readonly #queryUp: Linear;
  readonly #headNorm: RmsNorm;
  readonly #row: Linear;
  readonly #rowNorm: RmsNorm;
  readonly #sinks: NDArray;
  readonly #blocks: Compressor | undefined;
  readonly #index: Indexer | undefined;
  readonly #groups: Weight;
  readonly #output: Linear;

  constructor(from: Loading, name: string, parts: CompressedAttentionParts) {
    const { config, hiddenSize, eps } = parts;
    const { numHeads, headDim, queryRank, outputGroups, outputRank, blocks, index } = config;
    const { load } = from;
    this.#parts = parts;
    this.#precision = from.options.precision;
    this.#queryDown = loadLinear(from, `${name}.q_a_proj`, [queryRank, hiddenSize]);
    this.#queryNorm = loadRmsNorm(from, `${name}.q_a_norm`, queryRank, eps);
    this.#queryUp = loadLinear(from, `${name}.q_b_proj`, [numHeads * headDim, queryRank]);
    this.#headNorm = new RmsNorm(parts.ones, eps);
    this.#row = loadLinear(from, `${name}.kv_proj`, [headDim, hiddenSize]);
    this.#rowNorm = loadRmsNorm(from, `${name}.kv_norm`, headDim, eps);
    this.#sinks = load.vector(`${name}.sinks.weight`, numHeads);
    const own = { ...parts, width: headDim };
    this.#blocks = blocks && new Compressor(from, `${name}.compressor`, own);
    this.#index = index && new Indexer(from, `${name}.compressor.indexer`, parts);
    const columns = (numHeads * headDim) / outputGroups;
    this.#groups = load.experts(`${name}.o_a_proj.weight`, [outputGroups, outputRank, columns]);
    this.#output = loadLinear(from, `${name}.o_b_proj`, [hiddenSize, outputGroups * outputRank]);
  }

  /** x `[n, D]` at positions i32 `[n]` -> `[n, D]`. */
  apply(x: NDArray, positions: NDArray, memory: SequenceMemory, layer: number): NDArray {
    const { config, rotate } = this.#parts;
    const { numHeads, headDim, outputGroups, outputRank } = config;
    const rows = x.shape[0] ?? 0;
    const compressed = this.#queryNorm.apply(this.#queryDown.apply(x));
    const heads = this.#queryUp.apply(compressed).reshape([rows, numHeads, headDim]);
    const row = this.#rowNorm.apply(this.#row.apply(x)).reshape([rows, 1, headDim]);
    const seen: CompressedRows = {
      query: lastTurned(this.#headNorm.apply(heads), positions, config, rotate),
      row: lastTurned(row, positions, config, rotate).reshape([rows, headDim]),
      blocks: this.#blocks?.apply(x),
      index: this.#index?.apply(x, compressed, positions),
    };
    const precision = this.#precision === 'exact' ? 'exact' : 'fast';
    const options = { scale: headDim ** -0.5, sinks: this.#sinks, precision } as const;
    const sums = memory.compressed(layer, seen, positions, options);
    const values = lastTurned(sums, positions.neg(), config, rotate);
    const grouped = values.reshape([rows, outputGroups, (numHeads * headDim) / outputGroups]);
    // The matrix of each group, as experts that are all chosen.
    const all = arange(0, outputGroups, 1, 'i32').broadcastTo([rows, outputGroups]);
    const mixed = expertLinear(grouped, all, this.#groups, {
      precision: this.#precision,
      weights: ones([rows, outputGroups]),
    });
    return this.#output.apply(mixed.reshape([rows, outputGroups * outputRank]));
  }
}

/** Heads `[n, H, W]` whose last columns are rotated. */
function lastTurned(
  x: NDArray,
  positions: NDArray,
  { rope: { rotaryDim } }: CompressedAttentionConfig,
  rotate: Rotate,
): NDArray {
  const width = Number(x.shape[2]);
  const turned = rotate(x.slice(null, null, [width - rotaryDim, width]), positions);
  return width === rotaryDim ? turned : concat([x.slice(null, null, [0, width - rotaryDim]), turned], 2);
}

/** What rows give to the entries of blocks, and what makes entries of it. */
class Compressor {
  readonly #values: Linear;
  readonly #gates: Linear;
  readonly #rule: BlockRule;

  constructor(
    from: Loading,
    name: string,
    { config, hiddenSize, eps, table, width }: CompressedAttentionParts & { readonly width: number },
  ) {
    const { ratio = 1, overlap = false } = config.blocks ?? {};
    const columns = overlap ? 2 * width : width;
    // An entry is read for as long as the sequence goes on: its parts are not rounded to 8 bits.
    const fine = finely(from);
    this.#values = loadLinear(fine, `${name}.kv_proj`, [columns, hiddenSize]);
    this.#gates = loadLinear(fine, `${name}.gate_proj`, [columns, hiddenSize]);
    this.#rule = {
      bias: from.load.floats(`${name}.position_bias.weight`, [ratio, columns]),
      norm: from.load.vector(`${name}.kv_norm.weight`, width),
      eps,
      ...table,
    };
  }

  apply(x: NDArray): BlockRows {
    return { rows: concat([this.#values.apply(x), this.#gates.apply(x)], 1), rule: this.#rule };
  }
}

/** Small heads that rank blocks by entries of their own. */
class Indexer {
  readonly #parts: CompressedAttentionParts;
  readonly #blocks: Compressor;
  readonly #query: Linear;
  readonly #weights: Linear;

  constructor(from: Loading, name: string, parts: CompressedAttentionParts) {
    const { config, hiddenSize } = parts;
    const { heads = 0, headDim = 0 } = config.index ?? {};
    const fine = finely(from); // rounded scores would choose other blocks
    this.#parts = parts;
    this.#blocks = new Compressor(from, name, { ...parts, width: headDim });
    this.#query = loadLinear(fine, `${name}.q_b_proj`, [heads * headDim, config.queryRank]);
    this.#weights = loadLinear(fine, `${name}.scorer.weights_proj`, [heads, hiddenSize]);
  }

  /** x `[n, D]` and its compressed queries at positions i32 `[n]`. */
  apply(x: NDArray, compressed: NDArray, positions: NDArray): NonNullable<CompressedRows['index']> {
    const { config, rotate } = this.#parts;
    const { heads = 0, headDim = 0, count = 0 } = config.index ?? {};
    const query = this.#query.apply(compressed).reshape([x.shape[0] ?? 0, heads, headDim]);
    return {
      query: lastTurned(query, positions, config, rotate),
      // The scale of products is above 0, so it may stand outside of max(0, …).
      weights: this.#weights.apply(x).mul((heads * headDim) ** -0.5),
      count,
      blocks: this.#blocks.apply(x),
    };
  }
}
