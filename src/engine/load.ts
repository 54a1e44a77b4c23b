// From a name to a loaded model: resolve, open, plan memory, place weights, make tokenizer, cache and scheduler.

import { fromBuffer } from '../array/creation.ts';
import { Weight } from '../array/weight.ts';
import { env } from '../base/env.ts';
import { IngotError } from '../base/errors.ts';
import { PagedCache, pageBytes } from '../cache/paged.ts';
import type { Device } from '../device/device.ts';
import { openDevice } from '../device/open.ts';
import { Passes } from '../generate/passes.ts';
import { Runner } from '../generate/runner.ts';
import { Scheduler } from '../generate/scheduler.ts';
import { resolveModel } from '../hub/resolve.ts';
import { parseModel } from '../models/registry.ts';
import { openTokenizer } from '../tokenizer/open.ts';
import { type Checkpoint, openCheckpoint } from '../weights/checkpoint.ts';
import { CheckpointLoader, checkpointBytes } from '../weights/load.ts';
import { describeCheckpoint } from './info.ts';
import { availableMemory, planMemory } from './memory.ts';
import { LoadedModel } from './model.ts';
import { packerFor } from './packer.ts';
import type { LoadOptions, Model } from './types.ts';

/**
 * Loads a model: `name` is a short name of the catalog (`smollm2:135m`), `user/repo[:quant]` of the hub, or a path to a
 * GGUF file, a packed file or a folder of safetensors. Missing files are downloaded first.
 * @throws IngotError `not_found`, `download_failed`, `bad_file`, `unsupported`, `missing_tensor`, `out_of_memory`; the
 *   signal's reason when aborted. Nothing stays allocated after a failure.
 */
export async function load(name: string, options: LoadOptions = {}): Promise<Model> {
  const { signal, onProgress, onNotice } = options;
  const path = await resolveModel(name, { signal, onProgress, onNotice });
  signal?.throwIfAborted();
  const device = await openDevice(options.device ?? 'auto', {
    threads: options.threads ?? env.threads,
    level: env.level,
    memoryLimit: options.memoryLimit,
  });
  const checkpoint = await openCheckpoint(path);
  try {
    return await place(name, checkpoint, device, options);
  } finally {
    await checkpoint.close();
  }
}

async function place(
  name: string,
  checkpoint: Checkpoint,
  device: Device,
  options: LoadOptions,
): Promise<Model> {
  const { signal, onProgress, precision = 'fast', memoryLimit } = options;
  if (precision !== 'fast' && precision !== 'exact') {
    throw new IngotError('invalid_argument', `precision must be 'fast' or 'exact', got ${String(precision)}`);
  }
  const { config, build } = parseModel(checkpoint.config, checkpoint.path);
  const dtype = precision === 'exact' ? ('f32' as const) : ('f16' as const);
  const bytesOfPage = pageBytes(config.kv.layers, dtype);
  const { contextLength, maxSequences, pages } = planMemory({
    model: name,
    weightBytes: checkpointBytes(checkpoint),
    pageBytes: bytesOfPage,
    vocabSize: config.vocabSize,
    modelContext: config.contextLength,
    contextLength: options.contextLength,
    maxSequences: options.maxSequences,
    kvBytes: options.kvBytes,
    // A GPU's memory is not the machine's, and WebGPU does not tell its size: the driver refuses what does not fit.
    limit: Math.min(
      memoryLimit ?? Number.POSITIVE_INFINITY,
      device.memory === 'separate' ? Number.POSITIVE_INFINITY : availableMemory(),
    ),
  });
  const packInto = packerFor(device);
  const loader = new CheckpointLoader(
    checkpoint,
    device,
    {
      matrix: ({ name: label, shape, layout, buffer }) =>
        new Weight({ device, buffer, layout, shape, label }),
      vector: ({ length, buffer }) => fromBuffer(device, buffer, [length], 'f32'),
    },
    {
      ...(packInto ? { packInto } : {}),
      ...(signal ? { signal } : {}),
      ...(onProgress
        ? {
            onProgress: (p: { bytesDone: number; bytesTotal: number }) => onProgress({ phase: 'load', ...p }),
          }
        : {}),
    },
  );
  const owned: { dispose(): void }[] = [device, loader];
  try {
    const model = build(loader, { device, precision, contextLength });
    owned.push(model);
    const [tokenizer] = await Promise.all([openTokenizer(checkpoint), loader.run()]);
    const cache = new PagedCache(device, config.kv.layers, {
      pages,
      contextLength,
      maxSequences,
      dtype,
      prefixPages: Math.floor((options.prefixBytes ?? pages * bytesOfPage) / bytesOfPage),
    });
    owned.push(cache);
    const shared = { model, device, cache, contextLength };
    const runner = new Runner({ ...shared, maxSequences, profile: options.profile ?? false });
    owned.push(runner);
    const eosTokenIds = new Set([...config.eosTokenIds, ...(tokenizer?.eosIds ?? [])]);
    const { vocabSize } = config;
    const exact = precision === 'exact';
    const limits = { contextLength, vocabSize, maxSequences };
    const scheduler = new Scheduler({ runner, cache, eosTokenIds, exact, ...limits });
    const passes = new Passes({ ...shared, scheduler });
    owned.push(passes);
    return new LoadedModel({
      info: describeCheckpoint(name, checkpoint, config, { contextLength, weightBytes: loader.bytes }),
      tokenizer,
      scheduler,
      runner,
      passes,
      device,
      vocabSize,
      contextLength,
      owned: owned.reverse(),
    });
  } catch (error) {
    for (const x of owned.reverse()) x.dispose();
    throw error;
  }
}
