// What `ingot/patch` works with: the fusions of a loaded model's plans, and running other ones.

import type { PatternCounts, PatternSet } from '../array/patterns.ts';
import type { CacheStore } from '../cache/contract.ts';
import type { Device } from '../device/device.ts';
import type { Passes } from '../generate/passes.ts';
import type { Runner } from '../generate/runner.ts';
import type { Scheduler } from '../generate/scheduler.ts';
import { advised, mergeRecords, type RecordStore, shippedRecords } from '../patch/book.ts';
import type { PatchTarget, RecordPlace } from '../patch/target.ts';

/** The parts of a loaded model that have plans, or wait for them. */
export interface PatchedParts {
  readonly runner: Runner;
  readonly passes: Passes;
  readonly scheduler: Scheduler;
  readonly cache: CacheStore;
  readonly device: Device;
}

/** The class of devices that measurements belong to. */
export const deviceClass = (device: Device): string => device.class ?? device.name;

/** What measurements of a model of this size belong to. */
export const modelPlace = (
  device: Device,
  model: {
    readonly family: string;
    readonly hiddenSize: number;
    readonly numLayers: number;
    readonly format: string;
    readonly precision: string;
  },
): RecordPlace => ({
  device: deviceClass(device),
  family: model.family,
  shape: `D${model.hiddenSize} L${model.numLayers} ${model.format} ${model.precision}`,
});

/** The fusions that are advised there: by records that ship, and by those of this machine, which count more. */
export const advisedThere = (place: RecordPlace, records: RecordStore | undefined): PatternSet =>
  advised(place, mergeRecords(shippedRecords, records?.load() ?? []));

export class ModelPatching implements PatchTarget {
  readonly place: RecordPlace;
  readonly records: RecordStore | undefined;
  readonly #parts: PatchedParts;

  constructor(parts: PatchedParts, place: RecordPlace, records: RecordStore | undefined) {
    this.#parts = parts;
    this.place = place;
    this.records = records;
  }

  get patterns(): PatternSet {
    return this.#parts.runner.patterns;
  }
  get counts(): PatternCounts {
    return this.#parts.runner.patternCounts;
  }
  get dispatches(): number {
    return this.#parts.runner.tunable.program.dispatches.length;
  }
  get defaults(): PatternSet {
    return advisedThere(this.place, this.records);
  }
  get device(): string {
    return this.#parts.device.description;
  }
  get busy(): number {
    const { running, queued } = this.#parts.scheduler.status();
    return running + queued;
  }
  get peakBytes(): number {
    return this.#parts.device.statistics().peakBytes;
  }

  /** As `use`, for the model's modules as they are now. */
  rebuild(signal?: AbortSignal): Promise<void> {
    return this.#parts.scheduler.alone(signal, async () => {
      await this.#parts.runner.rebuild();
      this.#forget(this.patterns);
    });
  }

  use(patterns: PatternSet, signal?: AbortSignal): Promise<void> {
    return this.#parts.scheduler.alone(signal, async () => {
      await this.#parts.runner.use(patterns);
      this.#forget(patterns);
    });
  }

  /** What was computed before is not what would be now. */
  #forget(patterns: PatternSet): void {
    const { passes, cache, scheduler } = this.#parts;
    passes.use(patterns);
    cache.forgetPrefixes();
    scheduler.leaveArchive();
  }

  keepOnly(...sets: readonly PatternSet[]): void {
    this.#parts.runner.keepOnly(...sets);
  }
}
