// Runs a model the way the engine does: one plan with a dynamic number of rows over a cache of one sequence, logits of every row.

import { compile } from '../../src/array/compile.ts';
import type { Plan } from '../../src/array/plan.ts';
import { dynDim } from '../../src/base/shape.ts';
import type { CacheSequence, CacheStore } from '../../src/cache/contract.ts';
import { PagedCache } from '../../src/cache/paged.ts';
import { pagesFor } from '../../src/cache/sizes.ts';
import { StandardCache } from '../../src/cache/standard.ts';
import type { Device } from '../../src/device/device.ts';
import type { ModelGraph } from '../../src/models/contract.ts';
import { argmax } from './compare.ts';

export interface RunnerOptions {
  readonly capacity: number;
  /** Most rows of one step. */
  readonly maxRows: number;
  readonly kv: 'f16' | 'f32';
  /** Default `paged`, as the engine has it; `standard` does with two buffers less. */
  readonly cache?: 'paged' | 'standard';
  /** Sequences that a paged cache has room for; default 1. */
  readonly sequences?: number;
}

export class ModelRunner {
  readonly cache: CacheStore;
  readonly #sequence: CacheSequence;
  readonly #plan: Plan;

  constructor(
    device: Device,
    model: ModelGraph,
    { capacity, maxRows, kv, cache: kind, sequences = 1 }: RunnerOptions,
  ) {
    const { memory } = model.config;
    this.cache =
      kind === 'standard'
        ? new StandardCache(device, memory, { capacity, maxRows, dtype: kv })
        : new PagedCache(device, memory, {
            pages: sequences * pagesFor(capacity),
            contextLength: capacity,
            maxSequences: sequences,
            maxRows,
            dtype: kv,
          });
    this.#sequence = this.cache.create();
    const rows = dynDim('rows', maxRows);
    const { cache } = this;
    this.#plan = compile((x) => model.logits(model.hidden(x.ids, x.positions, cache.view(x))), {
      device,
      inputs: {
        ids: { shape: [rows], dtype: 'i32' },
        positions: { shape: [rows], dtype: 'i32' },
        ...cache.inputs(rows),
      },
    });
  }

  /** A sequence of its own with the same positions. */
  fork(): Promise<CacheSequence> {
    return this.#sequence.fork();
  }

  /** The longest length of at most `length` that a step may start at. */
  checkpoint(length: number): number {
    return this.#sequence.checkpoint(length);
  }

  /** Logits `[tokens, vocab]` of tokens that stand at `start` and after, in the runner's sequence or a fork of it. */
  async step(tokens: readonly number[], start: number, sequence = this.#sequence): Promise<Float32Array> {
    const positions = tokens.map((_, i) => start + i);
    sequence.trim(start);
    if (!sequence.extend(tokens.length)) throw new Error(`no room for ${tokens.length} tokens at ${start}`);
    const bound = this.cache.bind([{ sequence, rows: tokens.length }]);
    const [logits] = await this.#plan.run({ inputs: { ids: tokens, positions, ...bound } });
    return Float32Array.from(await logits!.data());
  }

  /** Logits of a whole sequence, run in steps of these sizes (the last size repeats). */
  async logits(tokens: readonly number[], sizes: readonly number[]): Promise<Float32Array> {
    const rows: Float32Array[] = [];
    for (let at = 0, i = 0; at < tokens.length; i++) {
      const size = sizes[Math.min(i, sizes.length - 1)]!;
      rows.push(await this.step(tokens.slice(at, at + size), at));
      at += size;
    }
    const all = new Float32Array(rows.reduce((n, r) => n + r.length, 0));
    let offset = 0;
    for (const r of rows) {
      all.set(r, offset);
      offset += r.length;
    }
    return all;
  }

  /** `count` greedy tokens after `tokens`, which are run in one go. */
  async greedy(tokens: readonly number[], count: number, vocab: number): Promise<readonly number[]> {
    const out = [argmax((await this.step(tokens, 0)).subarray(-vocab))];
    while (out.length < count) {
      out.push(argmax(await this.step(out.slice(-1), tokens.length + out.length - 1)));
    }
    return out;
  }

  dispose(): void {
    this.#sequence.dispose();
    this.#plan.dispose();
    this.cache.dispose();
  }
}
