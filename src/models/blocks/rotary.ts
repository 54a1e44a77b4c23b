// The rotary frequencies of a model as a constant that all layers share.

import type { NDArray } from '../../array/array.ts';
import { fromData } from '../../array/creation.ts';
import type { Device } from '../../device/device.ts';
import { type RopeConfig, ropeFrequencies } from '../../nn/rope.ts';

export interface Rotary {
  /** f32 `[rotaryDim / 2]` */
  readonly invFreq: NDArray;
  readonly attentionFactor: number;
  readonly rotaryDim: number;
}

/** Frequencies for sequences of up to `contextLength` tokens. */
export function rotary(config: RopeConfig, contextLength: number, device: Device): Rotary {
  const { invFreq, attentionFactor } = ropeFrequencies(config, contextLength);
  const table = fromData(invFreq, [invFreq.length], { device, label: 'rotary frequencies' });
  return { invFreq: table, attentionFactor, rotaryDim: config.rotaryDim };
}
