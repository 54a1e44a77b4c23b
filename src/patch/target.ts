// What patching needs of a model: the fusions of its plans, and a way to run other ones.

import type { PatternCounts, PatternSet } from '../array/patterns.ts';
import { IngotError } from '../base/errors.ts';
import type { RecordStore } from './book.ts';

/** Where a model keeps its `PatchTarget`. */
export const patchTarget: unique symbol = Symbol.for('ingot.patchTarget') as never;

export interface PatchTarget {
  /** The fusions of the plan that runs, and how often each of them applied. */
  readonly patterns: PatternSet;
  readonly counts: PatternCounts;
  /** Dispatches of a step. */
  readonly dispatches: number;
  /** The fusions that records of earlier measurements advise for such a model on such a device. */
  readonly defaults: PatternSet;
  /** What records of measurements of this model belong to. */
  readonly place: RecordPlace;
  /** Where records are kept beside those that ship; undefined where there is no place. */
  readonly records: RecordStore | undefined;
  /** Of the device, for reports. */
  readonly device: string;
  /** Generations that run or wait. */
  readonly busy: number;
  /** Most bytes that the device's buffers took at a time. */
  readonly peakBytes: number;
  /**
   * Waits until nothing runs, then lets a plan with these fusions run from the next step on and forgets what the cache knows
   * of earlier prompts. Plans used before stay until `keepOnly`. When the new one fails, the old one stays.
   */
  use(patterns: PatternSet, signal?: AbortSignal): Promise<void>;
  /** Frees the plans that were used before, but for those with one of these sets. */
  keepOnly(...sets: readonly PatternSet[]): void;
}

/** A class of devices, and a class of models on them. */
export interface RecordPlace {
  /** Such as `cpu avx512bf16`. */
  readonly device: string;
  readonly family: string;
  /** Such as `D576 L30 GGUF Q4_1 fast`. */
  readonly shape: string;
}

export interface GreedyOptions {
  readonly maxTokens: number;
  readonly temperature: 0;
  readonly ignoreEos: true;
  readonly logprobs?: number;
  readonly signal?: AbortSignal | undefined;
}

/** A model of the engine, as far as patching and comparing need it. */
export interface PatchableModel {
  readonly info: { readonly name: string; readonly family: string; readonly contextLength: number };
  readonly hasTokenizer: boolean;
  readonly tokenizer: { encode(text: string): readonly number[] };
  generate(
    tokens: readonly number[],
    options: GreedyOptions,
  ): AsyncIterable<number> & {
    readonly stats: {
      readonly prefillMs: number;
      readonly decodeMs: number;
      readonly generatedTokens: number;
      readonly logprobs: readonly {
        readonly id: number;
        readonly logprob: number;
        readonly top: readonly { readonly id: number; readonly logprob: number }[];
      }[];
    };
  };
  readonly [patchTarget]?: PatchTarget;
}

/** Throws `unsupported` for a model whose plans cannot be made anew. */
export function targetOf(model: PatchableModel): PatchTarget {
  const target = model[patchTarget];
  if (target !== undefined) return target;
  throw new IngotError(
    'unsupported',
    `${model.info.name} has no plans of its own to patch: use a model of load()`,
  );
}
