// Vectors of ids, and positions.

import { type Given, named } from '../../array/arguments.ts';
import type { NDArray } from '../../array/array.ts';
import { arange } from '../../array/creation.ts';
import { rope } from '../../array/functions/fast.ts';
import { take } from '../../array/ops/indexing/take.ts';
import { fixed } from '../../array/ops/operands.ts';
import { concat } from '../../array/ops/shape/concat.ts';
import { Module } from '../module.ts';
import { normal } from './initializers.ts';
import { expectWidth } from './shapes.ts';

/** ids i32 `[…]` -> `[…, dims]`: rows of `weight` `[count, dims]`. */
export class Embedding extends Module {
  weight: NDArray;

  /** Begins normal with the deviation 1 / sqrt(dims). */
  constructor(count: number, dims: number) {
    super();
    this.weight = normal(0, 1 / Math.sqrt(dims))([count, dims]);
  }

  forward(ids: NDArray): NDArray {
    return take(this.weight, ids, 0);
  }

  /** x Wᵀ: `[…, dims]` -> `[…, count]`, for heads that share the table. */
  asLinear(x: NDArray): NDArray {
    expectWidth(x, this.weight.shape[1], 'Embedding.asLinear');
    return x.matmul(this.weight.transpose());
  }
}

export interface RoPEOptions {
  /** True pairs neighbours, false the two halves of the rotated part. */
  readonly traditional?: boolean;
  /** Default 10000. */
  readonly base?: number;
  /** Multiplies positions. */
  readonly scale?: number;
}

/** Rotary positions (https://arxiv.org/abs/2104.09864) on the first `dims` of x `[…, length, width]`. */
export class RoPE extends Module {
  readonly dims: number;
  readonly options: RoPEOptions;

  constructor(
    dims: number,
    ...given: Given<[traditional: boolean, base: number, scale: number], RoPEOptions>
  ) {
    super();
    const options = named<RoPEOptions>('RoPE', ['traditional', 'base', 'scale'], given);
    this.dims = dims;
    this.options = options;
  }

  /** `offset` is the position of the first row. */
  forward(x: NDArray, offset = 0): NDArray {
    return rope(x, this.dims, { ...this.options, offset });
  }
}

export interface SinusoidalOptions {
  /** Frequencies lie between; default 0.0001 and 1. */
  readonly minFreq?: number;
  readonly maxFreq?: number;
  /** Default sqrt(2 / dims). */
  readonly scale?: number;
  readonly cosFirst?: boolean;
  /** Angles are in whole turns. */
  readonly fullTurns?: boolean;
}

/** Sines and cosines of positions (https://arxiv.org/abs/1706.03762): `[…]` -> `[…, dims]`. */
export class SinusoidalPositionalEncoding extends Module {
  readonly dims: number;
  readonly options: SinusoidalOptions;

  constructor(
    dims: number,
    ...given: Given<
      [minFreq: number, maxFreq: number, scale: number, cosFirst: boolean, fullTurns: boolean],
      SinusoidalOptions
    >
  ) {
    super();
    const names = ['minFreq', 'maxFreq', 'scale', 'cosFirst', 'fullTurns'] as const;
    const options = named<SinusoidalOptions>('SinusoidalPositionalEncoding', names, given);
    this.dims = dims;
    this.options = options;
  }

  forward(positions: NDArray): NDArray {
    const { minFreq = 0.0001, maxFreq = 1, scale, cosFirst = false, fullTurns = false } = this.options;
    const half = this.dims / 2;
    const [low, high] = [Math.log(minFreq), Math.log(maxFreq)];
    const step = half > 1 ? (low - high) / (half - 1) : 0;
    const frequencies = arange(half).cast('f32').mul(step).add(high).exp();
    const turned = frequencies.mul(fullTurns ? 2 * Math.PI : 1);
    const angles = positions
      .reshape([...positions.shape, 1])
      .cast('f32')
      .mul(turned);
    const parts = cosFirst ? [angles.cos(), angles.sin()] : [angles.sin(), angles.cos()];
    return concat(parts, -1).mul(scale ?? Math.sqrt(2 / this.dims));
  }
}

/** Scores that fall with the distance (https://arxiv.org/abs/2108.12409): adds to scores `[…, heads, queries, keys]`. */
export class ALiBi extends Module {
  /** `offset` is the position of the first query. */
  forward(scores: NDArray, offset = 0): NDArray {
    const [heads, queries, keys] = scores.shape.slice(-3).map((d) => fixed(d, 'ALiBi')) as [
      number,
      number,
      number,
    ];
    const distance = arange(offset, offset + queries)
      .reshape([queries, 1])
      .sub(arange(keys).reshape([1, keys]))
      .abs()
      .neg()
      .cast('f32');
    const slopes = arange(1, heads + 1)
      .cast('f32')
      .mul((-8 / heads) * Math.LN2)
      .exp();
    return scores.add(distance.mul(slopes.reshape([heads, 1, 1])).cast(scores.dtype));
  }
}
