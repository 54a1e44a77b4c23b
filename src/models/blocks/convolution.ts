// Gated short convolution (LFM2): of three projections of a token the first gates what goes into a causal convolution over a
// few positions, the second what comes out.

import type { NDArray } from '../../array/array.ts';
import type { Convolution, SequenceMemory } from '../../nn/contracts.ts';
import type { Linear } from '../../nn/linear.ts';
import type { ConvolutionConfig } from '../config/decoder.ts';
import { type Loading, loadLinear } from './load.ts';
import type { ConvolutionNames } from './names.ts';

export class ShortConvolution {
  // One product of three matrices where a device fuses them.
  readonly #before: Linear;
  readonly #after: Linear;
  readonly #value: Linear;
  readonly #output: Linear;
  readonly #convolution: Convolution;

  constructor(from: Loading, names: ConvolutionNames, config: ConvolutionConfig, hiddenSize: number) {
    const { channels, taps, bias } = config;
    const input = (name: string): Linear => loadLinear(from, name, [channels, hiddenSize], bias);
    this.#before = input(names.before);
    this.#after = input(names.after);
    this.#value = input(names.value);
    this.#output = loadLinear(from, names.output, [hiddenSize, channels], bias);
    this.#convolution = {
      weight: from.load.vector(`${names.convolution}.weight`, channels * taps),
      ...(bias ? { bias: from.load.vector(`${names.convolution}.bias`, channels) } : {}),
    };
  }

  /** x `[n, D]` at positions i32 `[n]` -> `[n, D]`; the last inputs stay in the memory of `layer`. */
  apply(x: NDArray, positions: NDArray, memory: SequenceMemory, layer: number): NDArray {
    const gated = this.#before.apply(x).mul(this.#value.apply(x));
    const convolved = memory.convolve(layer, gated, positions, this.#convolution);
    return this.#output.apply(this.#after.apply(x).mul(convolved));
  }
}
