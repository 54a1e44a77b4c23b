// From an open checkpoint and a device to a loaded model: plan memory, place weights, make tokenizer, cache and scheduler.

import { fromBuffer } from '../array/creation.ts';
import { resolvePatterns } from '../array/patterns.ts';
import { Weight } from '../array/weight.ts';
import { IngotError } from '../base/errors.ts';
import type { PrefixArchive } from '../cache/archive.ts';
import { type CacheKind, cacheDtype, cacheKinds, DEFAULT_KEEP, defaultCacheKind } from '../cache/kinds.ts';
import type { CacheDtype } from '../cache/parts.ts';
import { rotationOf } from '../cache/shifted-tables.ts';
import { CacheSizes } from '../cache/sizes.ts';
import { noTier } from '../cache/tiered.ts';
import type { Device } from '../device/device.ts';
import { Passes } from '../generate/passes.ts';
import { CHUNK, Runner } from '../generate/runner.ts';
import { resolveSampling } from '../generate/sampling.ts';
import { Scheduler } from '../generate/scheduler.ts';
import { checkUnused } from '../models/files/unused.ts';
import { parseModel } from '../models/registry.ts';
import type { LayerSpec } from '../nn/contracts.ts';
import { ModelModules } from '../nn/model-modules.ts';
import type { RecordStore } from '../patch/book.ts';
import { findTokenizer } from '../tokenizer/open.ts';
import type { Checkpoint } from '../weights/checkpoint.ts';
import { CheckpointLoader, type LoadedMatrix } from '../weights/load.ts';
import type { PackInto } from '../weights/load-jobs.ts';
import { describeCheckpoint, formatOf } from './info.ts';
import { LoadedModel } from './model.ts';
import { type ExpertFiles, openExperts, tellDivision } from './open-experts.ts';
import { withTemplate } from './own-template.ts';
import { advisedThere, ModelPatching, modelPlace } from './patching.ts';
import { planResidency, weightSizes } from './residency.ts';
import { endTokens, samplingDefaults } from './sampling-defaults.ts';
import type { LoadOptions, Model } from './types.ts';

/** What the surroundings give to a load. */
export interface Surroundings {
  /** Bytes of memory that are left, for a device that has none of its own. */
  readonly availableMemory: number;
  /** Where a cache has what memory has no room for, unless the options say. */
  readonly spillFolder?: string | undefined;
  /** A packer that is faster than plain TypeScript. */
  readonly packInto?: PackInto | undefined;
  /** Where measurements of fusions on this machine are kept. */
  readonly records?: RecordStore | undefined;
  /** Opens the folder of prefixes that the options name. */
  readonly openArchive?: ((model: ArchivedModel) => Promise<PrefixArchive | undefined>) | undefined;
  /** Told of every matrix that is brought to the device. */
  readonly onMatrix?: ((matrix: LoadedMatrix) => void) | undefined;
  /** What lies beside the model about its experts. */
  readonly expertFiles?: ExpertFiles | undefined;
}

/** What the numbers in a cache depend on. */
export interface ArchivedModel {
  readonly checkpoint: Checkpoint;
  readonly specs: readonly LayerSpec[];
  readonly dtype: CacheDtype;
  readonly contextLength: number;
  /** Precision, device, fusions. */
  readonly computed: unknown;
}

/** Opens a checkpoint and loads it onto a device, which the model then owns. Nothing stays open or allocated after a failure. */
export async function loadOnto(
  device: Device,
  open: () => Promise<Checkpoint>,
  name: string,
  options: LoadOptions,
  surroundings: Surroundings,
): Promise<Model> {
  try {
    const checkpoint = await open();
    try {
      return await place(name, checkpoint, device, options, surroundings);
    } finally {
      await checkpoint.close();
    }
  } catch (error) {
    device.dispose();
    throw error;
  }
}

async function place(
  name: string,
  checkpoint: Checkpoint,
  device: Device,
  options: LoadOptions,
  { availableMemory, spillFolder, packInto, records, expertFiles, openArchive, onMatrix }: Surroundings,
): Promise<Model> {
  const { signal, onProgress, precision = 'fast', memoryLimit } = options;
  if (precision !== 'fast' && precision !== 'exact') {
    throw new IngotError('invalid_argument', `precision must be 'fast' or 'exact', got ${String(precision)}`);
  }
  const { config, build } = parseModel(checkpoint.config, checkpoint.path);
  const format = formatOf(checkpoint);
  const there = modelPlace(device, { ...config, format, precision });
  const patterns = resolvePatterns(options.patterns, advisedThere(there, records));
  const kind: CacheKind = cacheKinds[options.kv ?? defaultCacheKind];
  const dtype = cacheDtype(kind, options);
  if (kind.tiered && device.openPages === undefined) throw noTier(device.name);
  if (!kind.tiered && options.kvDir !== undefined) {
    throw new IngotError('invalid_argument', "kvDir is only read with kv 'tiered'", {
      details: { argument: 'kvDir' },
    });
  }
  const keep = keptPositions(kind, options);
  const weights = weightSizes(checkpoint);
  const { memory, division } = planResidency({
    model: name,
    weights,
    expertsPerToken: config.expertsPerToken,
    canStream: device.streamExperts !== undefined,
    streamingStops: device.memory === 'separate',
    options: options.experts ?? {},
    sizes: new CacheSizes(config.memory, dtype, kind),
    vocabSize: config.vocabSize,
    modelContext: config.contextLength,
    plainContext: config.plainContext,
    contextLength: options.contextLength,
    maxSequences: conversations(kind, options),
    kvBytes: options.kvBytes,
    prefixBytes: options.prefixBytes,
    // A GPU's memory is not the machine's, and WebGPU does not tell its size: the driver refuses what does not fit.
    limit: Math.min(
      memoryLimit ?? Number.POSITIVE_INFINITY,
      device.memory === 'separate' ? Number.POSITIVE_INFINITY : availableMemory,
    ),
  });
  const { contextLength, maxSequences, pages, cacheBytes, prefixBytes } = memory;
  if (keep !== undefined) rotationOf(contextLength, keep); // what does not fit is told before weights are read
  const experts = division.streamed
    ? await openExperts(device, checkpoint, {
        model: name,
        options,
        division,
        expertsPerToken: config.expertsPerToken ?? 1,
        files: expertFiles,
      })
    : undefined;
  tellDivision(division, options);
  const loader = new CheckpointLoader(
    checkpoint,
    device,
    {
      matrix: (matrix) => {
        onMatrix?.(matrix);
        const { name: label, shape, layout, buffer } = matrix;
        return new Weight({ device, buffer, layout, shape, label });
      },
      vector: ({ length, buffer }) => fromBuffer(device, buffer, [length], 'f32'),
    },
    {
      ...(packInto ? { packInto } : {}),
      ...(experts ? { elsewhere: (tensor) => experts.buffer(tensor), copyPacked: true } : {}),
      ...(signal ? { signal } : {}),
      ...(onProgress
        ? {
            onProgress: (p: { bytesDone: number; bytesTotal: number }) => onProgress({ phase: 'load', ...p }),
          }
        : {}),
    },
  );
  const owned: { dispose(): void }[] = experts ? [experts, loader] : [loader];
  if (experts !== undefined && expertFiles !== undefined) {
    const keep = await expertFiles.keepDistances(checkpoint);
    owned.push({ dispose: () => keep(experts.distances()) });
  }
  try {
    const { preferResident: prefer = 0, dropMisses: drop = 0 } = options.experts ?? {};
    const reroute = experts !== undefined && prefer + drop > 0 ? { prefer, drop } : undefined;
    const modules = new ModelModules(device);
    const model = build(loader, { device, precision, contextLength, reroute, modules });
    owned.push(model);
    checkUnused(checkpoint, loader.unasked, options.onNotice);
    const { system, messages, maxTokens, stop, ...own } = options.defaults ?? {};
    const sampling = { ...(await samplingDefaults(checkpoint, options.onNotice)), ...given(own) };
    resolveSampling(sampling, 1); // what is out of range is told now, and not with each answer
    const source = withTemplate(checkpoint, options.chatTemplate);
    const [found] = await Promise.all([findTokenizer(source), loader.run()]);
    const { tokenizer, refused } = found;
    if (refused !== undefined) options.onNotice?.(`${name} works with token ids only: ${refused}`);
    const cache = kind.open(device, config.memory, {
      pages,
      contextLength,
      maxSequences,
      maxRows: CHUNK,
      dtype,
      maxBytes: cacheBytes,
      ...(kind.tiered ? { tier: { folder: options.kvDir ?? spillFolder ?? '.' } } : {}),
      prefixBytes,
      ...(keep === undefined ? {} : { keep }),
    });
    owned.push(cache);
    const shared = { model, device, cache, contextLength, patterns };
    const runner = new Runner({ ...shared, maxSequences, profile: options.profile ?? false });
    owned.push(runner);
    await runner.ready; // a kernel that is refused fails the load, not the first answer
    const { vocabSize } = config;
    const ends = await endTokens(checkpoint, vocabSize);
    const eosTokenIds = new Set([...config.eosTokenIds, ...ends, ...(tokenizer?.eosIds ?? [])]);
    const exact = precision === 'exact';
    const limits = { contextLength, rotates: kind.rotates, vocabSize, maxSequences };
    const computed = [precision, there.device, patterns];
    const archive = await openArchive?.({ checkpoint, specs: config.memory, dtype, contextLength, computed });
    const scheduler = new Scheduler({ runner, cache, eosTokenIds, exact, archive, ...limits });
    const passes = new Passes({ ...shared, scheduler });
    owned.push(passes);
    const loaded = new LoadedModel({
      info: describeCheckpoint(name, checkpoint, config, {
        contextLength,
        weightBytes: loader.bytes + (experts ? division.experts : 0),
        memory: division,
        kv: options.kv ?? defaultCacheKind,
        prefixBytes: Math.min(prefixBytes, cache.bytes),
        sampling,
        defaults: { system, messages, maxTokens, stop },
      }),
      tokenizer,
      headless: checkpoint.config.headless === true,
      withoutText: refused ?? 'it came without a tokenizer',
      patching: new ModelPatching({ runner, passes, scheduler, cache, device }, there, records),
      modules,
      scheduler,
      runner,
      passes,
      device,
      vocabSize,
      contextLength,
      experts,
      owned: [...owned.toReversed(), device],
    });
    if (device.name === 'webgpu' && options.tune !== false && experts === undefined) {
      const { tuneFirst } = await import('./tune.ts');
      const tunable = { device, runner, model: loaded, vocabSize, contextLength };
      if (await tuneFirst(tunable, options)) await runner.rebuild();
      cache.forgetPrefixes();
    }
    return loaded;
  } catch (error) {
    for (const x of owned.reverse()) x.dispose();
    throw error;
  }
}

/** How many conversations there are room for. Throws invalid_argument where a kind has no room for what is asked. */
function conversations(
  { single, rotates }: CacheKind,
  { kv, maxSequences, prefixDir }: LoadOptions,
): number | undefined {
  if (rotates && prefixDir !== undefined) {
    throw new IngotError(
      'invalid_argument',
      `kv '${kv}' has a window of a conversation, not all of it: it does not go with a prefixDir`,
      { details: { argument: 'prefixDir' } },
    );
  }
  if (!single) return maxSequences;
  const refused = prefixDir === undefined ? 'more than one maxSequences' : 'a prefixDir';
  if (prefixDir !== undefined || (maxSequences ?? 1) > 1) {
    throw new IngotError(
      'invalid_argument',
      `kv '${kv}' holds one conversation at a time and remembers none: it does not go with ${refused}`,
      { details: { argument: 'kv' } },
    );
  }
  return 1;
}

/** First positions that stay; undefined where all do. Throws invalid_argument where a kind has no use for what is asked. */
function keptPositions({ rotates }: CacheKind, { kv, kvKeep }: LoadOptions): number | undefined {
  if (rotates) return kvKeep ?? DEFAULT_KEEP;
  if (kvKeep === undefined) return undefined;
  throw new IngotError(
    'invalid_argument',
    `kvKeep is for kv 'rotating': kv '${kv ?? defaultCacheKind}' keeps all positions`,
    { details: { argument: 'kvKeep' } },
  );
}

/** Settings without those that say nothing, which must not hide what the model's makers say. */
const given = <T extends object>(settings: T): Partial<T> =>
  Object.fromEntries(Object.entries(settings).filter(([, value]) => value !== undefined)) as Partial<T>;
