// A model from files, run as the engine does.

import type { NDArray } from '../../src/array/array.ts';
import { fromBuffer } from '../../src/array/creation.ts';
import { Weight } from '../../src/array/weight.ts';
import type { Device } from '../../src/device/device.ts';
import type { ModelGraph } from '../../src/models/contract.ts';
import { modelCheckpoint } from '../../src/models/files/translate.ts';
import { checkUnused } from '../../src/models/files/unused.ts';
import { parseModel } from '../../src/models/registry.ts';
import { CheckpointLoader } from '../../src/weights/load.ts';
import { openCheckpoint } from '../../src/weights/open.ts';
import { ModelRunner, type RunnerOptions } from './runner.ts';

/** The model of a folder or file, in `exact`, for sequences of up to `contextLength` tokens. */
export async function loadGraph(
  device: Device,
  path: string,
  contextLength: number,
): Promise<{ model: ModelGraph; dispose(): void }> {
  const checkpoint = await modelCheckpoint(openCheckpoint(path));
  const loader = new CheckpointLoader<Weight, NDArray>(checkpoint, device, {
    matrix: ({ name, ...rest }) => new Weight({ device, label: name, ...rest }),
    vector: ({ buffer, length }) => fromBuffer(device, buffer, [length], 'f32'),
  });
  const parsed = parseModel(checkpoint.config, checkpoint.path);
  const model = parsed.build(loader, { device, precision: 'exact', contextLength });
  checkUnused(checkpoint, loader.unasked, (text) => {
    throw new Error(text); // these files are whole models
  });
  await loader.run();
  await checkpoint.close();
  return {
    model,
    dispose() {
      model.dispose();
      loader.dispose();
    },
  };
}

/** Calls `body` with a runner of the model in a folder or file, then frees all of it. */
export async function withModel(
  device: Device,
  path: string,
  options: Omit<RunnerOptions, 'kv'>,
  body: (runner: ModelRunner) => Promise<void>,
): Promise<void> {
  const { model, dispose } = await loadGraph(device, path, options.capacity);
  const runner = new ModelRunner(device, model, { ...options, kv: 'f32' });
  try {
    await body(runner);
  } finally {
    runner.dispose();
    dispose();
  }
}
