// Tunes the kernels of a model on a GPU and keeps the choices where the next load finds them.

import { IngotError } from '../base/errors.ts';
import type { Device } from '../device/device.ts';
import { WebGpuDevice } from '../device/webgpu/device.ts';
import { type TypicalRun, tuneProgram } from '../device/webgpu/tune.ts';
import type { Runner } from '../generate/runner.ts';
import type { Model, TuneOptions, TuneReport } from './types.ts';

/** A loaded model, as far as tuning needs it. */
export interface Tunable {
  readonly device: Device;
  readonly runner: Runner;
  readonly model: Pick<Model, 'generate'>;
  readonly vocabSize: number;
  readonly contextLength: number;
}

/** Throws unsupported for a device that has nothing to tune. */
export async function tuneModel(tunable: Tunable, options: TuneOptions): Promise<TuneReport> {
  const { device, runner } = tunable;
  if (!(device instanceof WebGpuDevice)) {
    throw new IngotError(
      'unsupported',
      `there is nothing to tune on device '${device.name}': load with 'webgpu'`,
    );
  }
  const loads = [typicalRun(tunable, 2), typicalRun(tunable, 1)];
  const { results, choices } = await tuneProgram(device, runner.tunable.program, { ...options, loads });
  return { results, path: device.keepChoices(choices) };
}

/** A prompt that no cache knows: its last step is the prefill of a chunk, or one row when a second token is asked for. */
function typicalRun({ runner, model, vocabSize, contextLength }: Tunable, maxTokens: number): TypicalRun {
  return async () => {
    const length = Math.max(1, Math.min(512, contextLength - maxTokens));
    const prompt = Array.from({ length }, () => Math.floor(Math.random() * vocabSize));
    for await (const _ of model.generate(prompt, { maxTokens, ignoreEos: true }));
    return runner.tunable.scalars;
  };
}
