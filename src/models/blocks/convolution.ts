// Gated short convolution (LFM2): of three projections of a token the first gates what goes into a causal convolution over a
// few positions, the second what comes out.

import type { NDArray } from '../../array/array.ts';
import { split } from '../../array/derived.ts';
import type { Convolution, SequenceMemory } from '../../nn/contracts.ts';
import type { Linear } from '../../nn/linear.ts';
import type { ConvolutionConfig } from '../config/decoder.ts';
import { type Loading, loadLinear } from './load.ts';
import type { ConvolutionNames } from './names.ts';

export class ShortConvolution {
  readonly #input: Linear;
  readonly #output: Linear;
  readonly #convolution: Convolution;

  constructor(from: Loading, names: ConvolutionNames, config: ConvolutionConfig, hiddenSize: number) {
    const { channels, taps, bias } = config;
    this.#input = loadLinear(from, names.input, [3 * channels, hiddenSize], bias);
    this.#output = loadLinear(from, names.output, [hiddenSize, channels], bias);
    this.#convolution = {
      weight: from.load.vector(`${names.convolution}.weight`, channels * taps),
      ...(bias ? { bias: from.load.vector(`${names.convolution}.bias`, channels) } : {}),
    };
  }

  /** x `[n, D]` at positions i32 `[n]` -> `[n, D]`; the last inputs stay in the memory of `layer`. */
  apply(x: NDArray, positions: NDArray, memory: SequenceMemory, layer: number): NDArray {
    const [before, after, value] = split(this.#input.apply(x), 3, -1) as [NDArray, NDArray, NDArray];
    const convolved = memory.convolve(layer, before.mul(value), positions, this.#convolution);
    return this.#output.apply(after.mul(convolved));
  }
}
