// Loaded tensors as the arrays and weights that models compute with.

import type { NDArray } from '../array/array.ts';
import { fromBuffer } from '../array/creation.ts';
import { Weight } from '../array/weight.ts';
import type { Device } from '../device/device.ts';
import type { LoadFactory } from './load.ts';

/** For `CheckpointLoader`: matrices become Weights, vectors f32 constants. The loader owns their buffers. */
export const arrayFactory = (device: Device): LoadFactory<Weight, NDArray> => ({
  matrix: ({ name, shape, layout, buffer }) => new Weight({ device, buffer, layout, shape, label: name }),
  vector: ({ length, buffer }) => fromBuffer(device, buffer, [length], 'f32'),
});
