// Hyper-connections with doubly stochastic mixing (https://arxiv.org/abs/2512.24880): the residual stream is several; a block
// takes a weighted sum of them, and what it gives is spread over them while they are mixed among themselves.

import type { NDArray } from '../../array/array.ts';
import { matmul } from '../../array/ops/linear/matmul.ts';
import { sinkhorn } from '../../array/ops/nn/sinkhorn.ts';
import type { Linear } from '../../nn/linear.ts';
import { finely, type Loading, loadLinear } from '../blocks/load.ts';
import type { StreamsConfig } from './config.ts';

interface StreamSizes {
  readonly config: StreamsConfig;
  readonly hiddenSize: number;
  /** Eps of the norm of all streams together. */
  readonly eps: number;
}

/** Learned numbers that follow from the streams of a row. */
class StreamWeights {
  readonly #linear: Linear;
  readonly #scale: NDArray;
  readonly #base: NDArray;
  readonly #eps: number;

  constructor(
    from: Loading,
    name: string,
    { config, hiddenSize, eps }: StreamSizes,
    parts: { sums: number; scales: number },
  ) {
    const { load } = from;
    const { count } = config;
    this.#linear = loadLinear(finely(from), `${name}.fn`, [parts.sums, count * hiddenSize]);
    this.#base = load.vector(`${name}.base.weight`, parts.sums);
    this.#scale = load.vector(`${name}.scale.weight`, parts.scales);
    this.#eps = eps;
  }

  /** Streams `[n, S, D]` -> `[n, sums]`, and numbers `from` … `to` - 1 of them by scale number `which`. */
  of(streams: NDArray): (which: number, from: number, to: number) => NDArray {
    const [rows = 0, count = 0, size = 0] = streams.shape;
    const flat = streams.reshape([rows, Number(count) * Number(size)]);
    const inverse = flat.square().mean(-1, true).add(this.#eps).rsqrt();
    const mixed = this.#linear.apply(flat).mul(inverse);
    return (which, from, to) =>
      mixed
        .slice(null, [from, to])
        .mul(this.#scale.slice([which, which + 1]))
        .add(this.#base.slice([from, to]));
  }
}

/** Around one block of a layer. */
export class HyperConnection {
  readonly #config: StreamsConfig;
  readonly #weights: StreamWeights;

  constructor(from: Loading, name: string, sizes: StreamSizes) {
    const { count } = sizes.config;
    this.#config = sizes.config;
    this.#weights = new StreamWeights(from, name, sizes, { sums: (2 + count) * count, scales: 3 });
  }

  /** Streams `[n, S, D]` after `block`, which maps `[n, D]` to `[n, D]`. */
  apply(streams: NDArray, block: (x: NDArray) => NDArray): NDArray {
    const { count, iterations, eps } = this.#config;
    const [rows = 0, , size = 0] = streams.shape;
    const part = this.#weights.of(streams);
    const taken = part(0, 0, count).sigmoid().add(eps);
    const given = part(1, count, 2 * count)
      .sigmoid()
      .mul(2);
    const mixing = part(2, 2 * count, (2 + count) * count).reshape([rows, count, count]);
    const y = block(weightedSum(streams, taken));
    const spread = given.reshape([rows, count, 1]).mul(y.reshape([rows, 1, size]));
    // Stream k gets the sum over j of m[j, k] times stream j.
    return spread.add(matmul(sinkhorn(mixing, iterations, eps).transpose([0, 2, 1]), streams));
  }
}

/** One stream of all, behind the last layer. */
export class StreamHead {
  readonly #config: StreamsConfig;
  readonly #weights: StreamWeights;

  constructor(from: Loading, name: string, sizes: StreamSizes) {
    const { count } = sizes.config;
    this.#config = sizes.config;
    this.#weights = new StreamWeights(from, name, sizes, { sums: count, scales: 1 });
  }

  apply(streams: NDArray): NDArray {
    const { count, eps } = this.#config;
    const part = this.#weights.of(streams);
    return weightedSum(streams, part(0, 0, count).sigmoid().add(eps));
  }
}

/** Streams `[n, S, D]` with weights `[n, S]` -> `[n, D]`. */
function weightedSum(streams: NDArray, weights: NDArray): NDArray {
  const [rows = 0, count = 0] = weights.shape;
  return streams.mul(weights.reshape([rows, count, 1])).sum(1);
}
