// Whether and how fast a model would run on this machine, from the headers of its files, wherever they are: nothing is downloaded and
// nothing loaded.

import { mkdir, open, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { type Env, env } from '../base/env.ts';
import { IngotError } from '../base/errors.ts';
import { cacheDtype, cacheKinds, defaultCacheKind } from '../cache/kinds.ts';
import { CacheSizes } from '../cache/sizes.ts';
import { loadAddon } from '../device/cpu/addon.ts';
import { openCpuDevice } from '../device/cpu/device.ts';
import { measureBandwidth } from '../device/cpu/doctor.ts';
import { openDevice } from '../device/open.ts';
import { WebGpuDevice } from '../device/webgpu/device.ts';
import { gpuSpeed } from '../device/webgpu/doctor.ts';
import { besidePath, expertsBeside } from '../experts/beside.ts';
import { expertSizes } from '../experts/layers.ts';
import { type Outlook, outlookOf } from '../experts/outlook.ts';
import type { RoutingStatistics } from '../experts/routing.ts';
import { readRouting } from '../experts/routing-file.ts';
import { defaultReaders } from '../experts/store.ts';
import { hubAddress } from '../hub/address.ts';
import { findLocal } from '../hub/resolve.ts';
import { modelCheckpoint } from '../models/files/translate.ts';
import { parseModel } from '../models/registry.ts';
import type { Checkpoint } from '../weights/checkpoint.ts';
import { type ExpertTensors, expertTensors } from '../weights/experts.ts';
import { openCheckpoint } from '../weights/open.ts';
import { openModel } from '../weights/open-web.ts';
import { availableMemory } from './available-memory.ts';
import { knownDistances } from './expert-distances.ts';
import { readersFor, readShape } from './readers.ts';
import { type MemoryDivision, planResidency, type WeightSizes, weightSizes } from './residency.ts';
import { tokenCost } from './token-cost.ts';
import type { LoadOptions } from './types.ts';

export interface OutlookOptions
  extends Pick<
    LoadOptions,
    | 'memoryLimit'
    | 'contextLength'
    | 'kv'
    | 'kvBits'
    | 'kvBytes'
    | 'experts'
    | 'signal'
    | 'threads'
    | 'device'
  > {
  readonly env?: Env | undefined;
}

export interface ModelOutlook {
  readonly model: string;
  /** A path, or the address of a file that was not downloaded. */
  readonly place: string;
  readonly weightBytes: number;
  /** Weights that every token uses, and those of the experts that one token uses. */
  readonly denseBytes: number;
  readonly cycleBytes: number;
  /** How memory would be divided; undefined when it does not run. */
  readonly division: MemoryDivision | undefined;
  /** Why it does not run in this memory, with the numbers. */
  readonly problem: string | undefined;
  readonly contextLength: number | undefined;
  /** Bytes per second, measured now: of the device's memory, and of the disk with reads as large as an expert. */
  readonly memoryBandwidth: number;
  readonly diskBandwidth: number | undefined;
  /** Tokens that routing statistics were recorded of; undefined where none are known, and experts count as chosen alike. */
  readonly statistics: number | undefined;
  /** Whether misses are foreseen by runs of this model on this machine. */
  readonly measuredMisses: boolean;
  readonly speed: Outlook | undefined;
}

/** Throws like `load` for names and files that cannot be read. */
export async function modelOutlook(name: string, options: OutlookOptions = {}): Promise<ModelOutlook> {
  const settings = options.env ?? env;
  const local = /^https?:/.test(name) ? undefined : await findLocal(name, settings);
  const place = local ?? (/^https?:/.test(name) ? name : await hubAddress(name, settings, options.signal));
  const opening = local === undefined ? openModel(place, { signal: options.signal }) : openCheckpoint(local);
  const checkpoint = await modelCheckpoint(opening);
  try {
    return await examine({ name, place, local, checkpoint, options, settings });
  } finally {
    await checkpoint.close();
  }
}

interface Subject {
  readonly name: string;
  readonly place: string;
  readonly local: string | undefined;
  readonly checkpoint: Checkpoint;
  readonly options: OutlookOptions;
  readonly settings: Env;
}

async function examine(subject: Subject): Promise<ModelOutlook> {
  const { name, place, local, checkpoint, options, settings } = subject;
  const { config } = parseModel(checkpoint.config, checkpoint.path);
  const weights = weightSizes(checkpoint);
  const cost = tokenCost(checkpoint, config);
  const statistics = local === undefined ? undefined : await knownRouting(local, checkpoint);
  const distances = local === undefined ? undefined : await knownDistances(checkpoint, settings);
  const planned = plan(subject, weights, config);
  const { bytesPerSecond: memoryBandwidth, stopSeconds } = await deviceSpeed(options);
  const { division } = planned;
  const expertsPerToken = config.expertsPerToken ?? 1;
  const blocks = local === undefined ? undefined : await expertsBeside(local, checkpoint, undefined);
  const read = blocks === undefined ? local : besidePath(local ?? '');
  const readers = options.experts?.readers ?? (await knownReaders(subject, blocks, expertsPerToken));
  const disk =
    weights.layers.length === 0
      ? undefined
      : await onDisk(read, 8 * largestBlock(weights.layers), settings, (file) =>
          measureDisk(file, blocks ?? weights.layers, { expertsPerToken, readers }),
        );
  const diskBandwidth = disk?.bytesPerSecond;
  return {
    model: name,
    place,
    weightBytes: weights.dense + weights.experts,
    denseBytes: weights.dense,
    cycleBytes: division?.cycle ?? 0,
    ...planned,
    memoryBandwidth,
    diskBandwidth,
    statistics: statistics?.tokens,
    measuredMisses: distances !== undefined,
    speed:
      division === undefined
        ? undefined
        : outlookOf({
            demand: demandOf(weights, expertsPerToken, statistics),
            counted: statistics !== undefined,
            distances,
            expertsPerToken,
            readSeconds: disk?.readSeconds,
            held: division.streamed ? division.experts / division.allExperts : 1,
            cycleBytes: division.cycle,
            activeBytes: cost.bytes,
            diskBytesPerSecond: diskBandwidth ?? Number.POSITIVE_INFINITY,
            memoryBytesPerSecond: memoryBandwidth,
            stopSeconds,
          }),
  };
}

const onGpu = ({ device }: OutlookOptions): boolean => /^webgpu/.test(device ?? '');

async function deviceSpeed(
  options: OutlookOptions,
): Promise<{ readonly bytesPerSecond: number; readonly stopSeconds: number }> {
  if (!onGpu(options)) {
    const device = openCpuDevice({ threads: options.threads });
    return { bytesPerSecond: 1e9 * (await measureBandwidth(device)), stopSeconds: 0 };
  }
  const device = await openDevice(options.device ?? 'webgpu');
  try {
    if (!(device instanceof WebGpuDevice)) throw new IngotError('internal', 'internal: a GPU that is none');
    return await gpuSpeed(device);
  } finally {
    device.dispose();
  }
}

/** As a run would read them: what is remembered, or measured and remembered, where the file is here. */
async function knownReaders(
  { local, checkpoint, settings }: Subject,
  blocks: readonly ExpertTensors[] | undefined,
  expertsPerToken: number,
): Promise<number> {
  if (local === undefined) return defaultReaders;
  const layers = blocks ?? expertTensors(checkpoint);
  return (await readersFor(readShape(layers, expertsPerToken), settings)) ?? defaultReaders;
}

/** Statistics of another model, or damaged ones, say nothing of this one. */
const knownRouting = (path: string, checkpoint: Checkpoint): Promise<RoutingStatistics | undefined> =>
  readRouting(path, checkpoint).catch((error: unknown) => {
    if (error instanceof IngotError) return undefined;
    throw error;
  });

function plan(
  { name, options }: Subject,
  weights: WeightSizes,
  config: ReturnType<typeof parseModel>['config'],
): Pick<ModelOutlook, 'division' | 'problem' | 'contextLength'> {
  const kind = cacheKinds[options.kv ?? defaultCacheKind];
  try {
    const { division, memory } = planResidency({
      model: name,
      weights,
      expertsPerToken: config.expertsPerToken,
      canStream: true,
      options: options.experts ?? {},
      sizes: new CacheSizes(config.memory, cacheDtype(kind, options), { rotates: kind.rotates }),
      vocabSize: config.vocabSize,
      modelContext: config.contextLength,
      contextLength: options.contextLength,
      maxSequences: undefined,
      kvBytes: options.kvBytes,
      streamingStops: onGpu(options),
      // As `load` has it: nobody knows how much memory a GPU has.
      limit: Math.min(
        options.memoryLimit ?? Number.POSITIVE_INFINITY,
        onGpu(options) ? Number.POSITIVE_INFINITY : availableMemory(),
      ),
    });
    return { division, problem: undefined, contextLength: memory.contextLength };
  } catch (error) {
    if (!(error instanceof IngotError) || error.code !== 'out_of_memory') throw error;
    return { division: undefined, problem: error.message, contextLength: undefined };
  }
}

/** How often a token chooses each expert: as counted, or all alike. */
function demandOf(
  { layers }: WeightSizes,
  expertsPerToken: number,
  statistics: RoutingStatistics | undefined,
): readonly (readonly number[])[] {
  if (statistics === undefined)
    return expertSizes(layers).map(({ experts }) =>
      Array.from({ length: experts }, () => Math.min(1, expertsPerToken / experts)),
    );
  return statistics.layers.map(({ chosen }) => {
    const rows = chosen.reduce((sum, n) => sum + n, 0) / expertsPerToken;
    return chosen.map((n) => (rows === 0 ? 0 : n / rows));
  });
}

const largestBlock = (layers: readonly ExpertTensors[]): number =>
  Math.max(...expertSizes(layers).map(({ blockBytes }) => blockBytes));

const probeBytes = 256 * 2 ** 20;

interface ProbedFile {
  readonly path: string;
  readonly size: number;
}

/** Asks the file that experts are read from where it has `least` bytes, or one that is written where it would be. */
async function onDisk<T>(
  local: string | undefined,
  least: number,
  { cacheDir }: Env,
  ask: (file: ProbedFile) => Promise<T>,
): Promise<T> {
  const found = local === undefined ? undefined : await stat(local);
  if (local !== undefined && found?.isFile() && found.size >= least)
    return ask({ path: local, size: found.size });
  await mkdir(cacheDir, { recursive: true });
  const path = join(cacheDir, `probe-${process.pid}`);
  try {
    const file = await open(path, 'w');
    try {
      const chunk = new Uint8Array(16 * 2 ** 20).fill(90);
      for (let done = 0; done < probeBytes; done += chunk.length) await file.write(chunk);
      await file.sync();
    } finally {
      await file.close();
    }
    return await ask({ path, size: probeBytes });
  } finally {
    await rm(path, { force: true });
  }
}

/**
 * Bytes per second of reads as large as an expert, and how long the reads of a layer take when 1, 2, … of its experts are missing: gate and
 * up are one job of the readers, down another, in one request where the file has them as the block has them.
 */
async function measureDisk(
  { path, size }: ProbedFile,
  layers: readonly ExpertTensors[],
  { expertsPerToken, readers }: { readonly expertsPerToken: number; readonly readers: number },
): Promise<{ readonly bytesPerSecond: number; readonly readSeconds: readonly number[] }> {
  const addon = loadAddon();
  const piece = Math.min(size / 8, largestBlock(layers));
  const bytesPerSecond = addon.measureReads(path, size, piece, readers, 0.5);
  const packed = layers[0]?.tensors.gate.kind === 'packed';
  const [each, reads] = [piece / (packed ? 2 : 3), packed ? 1 : 2];
  const round = (missing: number): number =>
    addon.measureReadRounds(path, size, each, reads, 2 * missing, readers, 0.3);
  const [one, all] = [round(1), round(expertsPerToken)];
  const step = (all - one) / Math.max(1, expertsPerToken - 1);
  return {
    bytesPerSecond,
    readSeconds: Array.from({ length: expertsPerToken }, (_, m) => one + step * m),
  };
}
