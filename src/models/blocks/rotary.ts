// The rotary frequencies of a model as constants, one for each set of settings that its layers have.

import type { NDArray } from '../../array/array.ts';
import { fromData } from '../../array/creation.ts';
import { rope } from '../../array/ops/nn/rope.ts';
import type { Device } from '../../device/device.ts';
import { type RopeConfig, ropeFrequencies } from '../../nn/rope.ts';

/** Rotates heads `[n, H, Dh]` by positions i32 `[n]`. */
export type Rotate = (x: NDArray, positions: NDArray) => NDArray;

export class Rotaries {
  readonly #contextLength: number;
  readonly #device: Device;
  readonly #known = new Map<string, Rotate>();
  /** The tables made so far. */
  readonly constants: NDArray[] = [];

  /** For sequences of up to `contextLength` tokens. */
  constructor(contextLength: number, device: Device) {
    this.#contextLength = contextLength;
    this.#device = device;
  }

  /** The rotation with these settings; without any, positions leave a head as it is. */
  of(config: RopeConfig | undefined): Rotate {
    if (config === undefined) return (x) => x;
    const key = JSON.stringify(config);
    const known = this.#known.get(key) ?? this.#make(config);
    this.#known.set(key, known);
    return known;
  }

  /** The frequencies f32 `[rotaryDim / 2]` with these settings, and the factor on sine and cosine. */
  tableOf(config: RopeConfig): { readonly frequencies: NDArray; readonly factor: number } {
    const { invFreq, attentionFactor } = ropeFrequencies(config, this.#contextLength);
    const device = this.#device;
    const frequencies = fromData(invFreq, [invFreq.length], { device, label: 'rotary frequencies' });
    this.constants.push(frequencies);
    return { frequencies, factor: attentionFactor };
  }

  #make(config: RopeConfig): Rotate {
    const { frequencies, factor } = this.tableOf(config);
    const { rotaryDim, interleaved } = config;
    return (x, positions) =>
      rope(x, positions, frequencies, { rotaryDim, interleaved, attentionScale: factor });
  }
}
