// From a name to a loaded model, in Node: resolve, open, and place what was found.

import { env } from '../base/env.ts';
import { openDevice } from '../device/open.ts';
import { expertsBeside } from '../experts/beside.ts';
import { readRouting } from '../experts/routing-file.ts';
import { resolveModel } from '../hub/resolve.ts';
import { modelCheckpoint } from '../models/files/translate.ts';
import { fileRecords } from '../patch/book-file.ts';
import { openCheckpoint } from '../weights/open.ts';
import { availableMemory } from './available-memory.ts';
import { checkLoadOptions, checkText } from './check.ts';
import { distanceKeeper } from './expert-distances.ts';
import { packerFor } from './packer.ts';
import { loadOnto } from './place.ts';
import { openPrefixFolder } from './prefixes/open.ts';
import { presetOptions } from './presets/preset.ts';
import { findPreset } from './presets/store.ts';
import { readersFor, readShape } from './readers.ts';
import { spillFolder } from './spill-folder.ts';
import type { LoadOptions, Model } from './types.ts';

/**
 * Loads a model: `name` is a preset that was made here, a short name of the catalog (`smollm2:135m`), `user/repo[:quant]` of the
 * hub, or a path to a GGUF file, a packed file or a folder of safetensors. Missing files are downloaded first.
 * @throws IngotError `not_found`, `download_failed`, `bad_file`, `unsupported`, `missing_tensor`, `out_of_memory`; the
 *   signal's reason when aborted. Nothing stays allocated after a failure.
 */
export async function load(name: string, given: LoadOptions = {}): Promise<Model> {
  checkText('name', name);
  checkLoadOptions(given);
  const { signal, onProgress, onNotice } = given;
  const preset = await findPreset(name, env);
  const options = preset ? presetOptions(preset, given) : given;
  const path = await resolveModel(preset?.from ?? name, { signal, onProgress, onNotice });
  signal?.throwIfAborted();
  const device = await openDevice(options.device ?? 'auto', {
    threads: options.threads ?? env.threads,
    level: env.level,
    memoryLimit: options.memoryLimit,
  });
  return loadOnto(device, () => modelCheckpoint(openCheckpoint(path), onNotice), name, options, {
    availableMemory: availableMemory(),
    spillFolder: spillFolder(),
    packInto: packerFor(device),
    records: fileRecords(),
    openArchive: (model) => openPrefixFolder(model, options),
    expertFiles: {
      blocks: (checkpoint) => expertsBeside(path, checkpoint, onNotice),
      routing: (checkpoint) => readRouting(path, checkpoint),
      keepDistances: distanceKeeper,
      readers: (layers, expertsPerToken) => readersFor(readShape(layers, expertsPerToken)),
    },
  });
}
