// Tunes the kernels of a model on a GPU and keeps the choices in the cache folder, where the next load finds them.

import { IngotError } from '../base/errors.ts';
import type { Device } from '../device/device.ts';
import { saveChoices } from '../device/webgpu/choice-file.ts';
import { WebGpuDevice } from '../device/webgpu/device.ts';
import { tuneProgram } from '../device/webgpu/tune.ts';
import type { Runner } from '../generate/runner.ts';
import type { TuneOptions, TuneReport } from './types.ts';

/** Throws unsupported for a device that has nothing to tune. Sequences in the cache are overwritten. */
export async function tuneRunner(
  device: Device,
  runner: Runner,
  { signal, onProgress }: TuneOptions,
): Promise<TuneReport> {
  if (!(device instanceof WebGpuDevice)) {
    throw new IngotError(
      'unsupported',
      `there is nothing to tune on device '${device.name}': load with 'webgpu'`,
    );
  }
  const { program, loads } = runner.tunable();
  const { results, choices } = await tuneProgram(device, program, { loads, signal, onProgress });
  return { results, path: saveChoices(device.identity, choices) };
}
