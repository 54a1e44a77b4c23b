// The models in memory: loaded when a request first needs them, one after the other, inside a byte budget; let go when
// nobody has used them for a while or when another one needs the room.

import { setImmediate as pause } from 'node:timers/promises';
import { orAborted } from '../base/abort.ts';
import { IngotError } from '../base/errors.ts';
import type { Load, Model } from '../engine/types.ts';
import type { LibraryModel } from './library.ts';
import { RequestError } from './problem.ts';

export interface PoolOptions {
  readonly load: Load;
  /** Bytes all models together may take; undefined leaves it to what the machine has. */
  readonly memoryLimit?: number | undefined;
  readonly maxModels: number;
  /** Milliseconds without a request after which a model that was not given at the start is let go. */
  readonly idleMs: number;
  /** Bytes of a loaded model: weights and caches. */
  readonly bytesOf: (model: Model) => number;
  readonly onLoad?: ((name: string, model: Model, ms: number) => void) | undefined;
  readonly onUnload?: ((name: string, why: WhyUnloaded) => void) | undefined;
}

/** A model in use. It stays loaded until `release`, which may be called more than once. */
export interface Lease {
  readonly name: string;
  readonly model: Model;
  /** Milliseconds this request waited for the model to load. */
  readonly loadMs: number;
  release(): void;
  /** The model cannot work any more, as `error` says of some: who asks next loads it anew. */
  failed(error: unknown): void;
}

export type WhyUnloaded = 'idle' | 'asked' | 'room' | 'shutdown' | 'failed';

/** Errors after which a model stays broken: its device, or the file that its weights are mapped from, is gone. */
const lasting: ReadonlySet<string> = new Set(['device_lost', 'bad_file']);

export interface PoolEntry {
  readonly name: string;
  readonly model: Model;
  readonly bytes: number;
  readonly users: number;
  /** Milliseconds since 1970 at which it is let go; Infinity for good. */
  readonly expires: number;
}

interface Slot {
  readonly source: LibraryModel;
  readonly ready: Promise<Model>;
  model: Model | undefined;
  users: number;
  lastUsed: number;
  keepMs: number;
  timer: NodeJS.Timeout | undefined;
}

export class ModelPool {
  readonly #options: PoolOptions;
  /** By name, least recently used first. */
  readonly #slots = new Map<string, Slot>();
  /** Out of the list, but still in use. */
  readonly #leaving = new Set<Slot>();
  /** Loads run one after the other: each decides about memory by what the others left. */
  #loading: Promise<unknown> = Promise.resolve();
  #closed = false;

  constructor(options: PoolOptions) {
    this.#options = options;
  }

  /**
   * The model of `source`, loading it first when it must. `keepMs` sets how long it stays after this use.
   * Throws RequestError `overloaded` when there is no room, and what `load` throws.
   */
  async acquire(source: LibraryModel, signal?: AbortSignal, keepMs?: number): Promise<Lease> {
    if (this.#closed) throw new RequestError('overloaded', 'the server is shutting down');
    const start = performance.now();
    const slot = this.#slots.get(source.name) ?? this.#open(source);
    if (keepMs !== undefined) slot.keepMs = keepMs;
    slot.users++;
    clearTimeout(slot.timer);
    this.#slots.delete(source.name);
    this.#slots.set(source.name, slot);
    let held = true;
    const release = (): void => {
      if (!held) return;
      held = false;
      this.#release(slot);
    };
    try {
      const model = await orAborted(slot.ready, signal);
      const failed = (error: unknown): void => {
        const isLasting = error instanceof IngotError && lasting.has(error.code);
        if (isLasting && this.#slots.get(source.name) === slot) this.#retire(slot, 'failed');
      };
      return { name: source.name, model, loadMs: performance.now() - start, release, failed };
    } catch (error) {
      release();
      throw error;
    }
  }

  /** Lets a model go once nobody uses it; false when it is not loaded. */
  unload(name: string): boolean {
    const slot = this.#slots.get(name);
    if (!slot) return false;
    this.#retire(slot, 'asked');
    return true;
  }

  list(): PoolEntry[] {
    return [...this.#slots.values()].flatMap((slot) => {
      const { model, users, source } = slot;
      if (!model) return [];
      const bytes = this.#options.bytesOf(model);
      return [{ name: source.name, model, bytes, users, expires: slot.lastUsed + slot.keepMs }];
    });
  }

  /** Lets all models go; what still runs on them ends first. */
  async close(): Promise<void> {
    this.#closed = true;
    await this.#loading.catch(() => undefined);
    for (const slot of [...this.#slots.values()]) this.#retire(slot, 'shutdown');
    for (const slot of this.#leaving) slot.model?.dispose();
    this.#leaving.clear();
  }

  #open(source: LibraryModel): Slot {
    const ready = this.#loading.catch(() => undefined).then(() => this.#load(source));
    this.#loading = ready;
    const slot: Slot = {
      source,
      ready,
      model: undefined,
      users: 0,
      lastUsed: Date.now(),
      keepMs: source.configured ? Number.POSITIVE_INFINITY : this.#options.idleMs,
      timer: undefined,
    };
    this.#slots.set(source.name, slot);
    ready.then(
      (model) => {
        slot.model = model;
        if (slot.users === 0) this.#release(slot);
      },
      () => {
        if (this.#slots.get(source.name) === slot) this.#slots.delete(source.name);
      },
    );
    return slot;
  }

  /** Loads, letting the least recently used idle models go as long as there is no room. */
  async #load(source: LibraryModel): Promise<Model> {
    const { load, memoryLimit, maxModels, onLoad } = this.#options;
    const start = performance.now();
    while (this.#held().length >= maxModels)
      await this.#makeRoom(source.name, `${maxModels} models are loaded`);
    for (;;) {
      if (this.#closed) throw new RequestError('overloaded', 'the server is shutting down');
      const taken = this.#held().reduce((sum, model) => sum + this.#options.bytesOf(model), 0);
      const left = memoryLimit === undefined ? undefined : Math.max(0, memoryLimit - taken);
      try {
        const model = await load(source.loads ?? source.path, { memoryLimit: left });
        onLoad?.(source.name, model, performance.now() - start);
        return model;
      } catch (error) {
        if (!(error instanceof IngotError) || error.code !== 'out_of_memory') throw error;
        if (this.#held().length === 0) throw error;
        await this.#makeRoom(source.name, error.message);
      }
    }
  }

  #held(): Model[] {
    return [...this.#slots.values(), ...this.#leaving].flatMap(({ model }) => (model ? [model] : []));
  }

  async #makeRoom(wanted: string, reason: string): Promise<void> {
    const idle = [...this.#slots.values()].find(({ model, users }) => model !== undefined && users === 0);
    if (!idle) {
      throw new RequestError(
        'overloaded',
        `no room to load ${wanted} while the other models are in use: ${reason}`,
        {
          retryAfter: 5,
        },
      );
    }
    this.#retire(idle, 'room');
    await pause(); // a model frees its memory after what ran on it
  }

  #release(slot: Slot): void {
    slot.users = Math.max(0, slot.users - 1);
    slot.lastUsed = Date.now();
    if (slot.users > 0 || slot.model === undefined) return;
    if (this.#leaving.delete(slot)) slot.model.dispose();
    else if (slot.keepMs === 0) this.#retire(slot, 'idle');
    else if (Number.isFinite(slot.keepMs)) {
      slot.timer = setTimeout(() => this.#retire(slot, 'idle'), Math.min(slot.keepMs, 2 ** 31 - 1));
      slot.timer.unref();
    }
  }

  #retire(slot: Slot, why: WhyUnloaded): void {
    const { name } = slot.source;
    clearTimeout(slot.timer);
    if (this.#slots.get(name) === slot) this.#slots.delete(name);
    if (slot.users > 0 || slot.model === undefined) this.#leaving.add(slot);
    else slot.model.dispose();
    this.#options.onUnload?.(name, why);
  }
}
