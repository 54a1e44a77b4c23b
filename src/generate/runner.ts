// The plan of a step: rows of many sequences go through the model together, and of some of them a token is sampled. Decode
// rows and pieces of prompts differ only in how many rows a sequence has.

import { compile } from '../array/compile.ts';
import { where } from '../array/ops/elementwise/where.ts';
import { take } from '../array/ops/indexing/take.ts';
import { count } from '../array/ops/reduce/count.ts';
import { penalize } from '../array/ops/sampling/penalize.ts';
import { type RowSettings, SETTINGS_WORDS, settingsWords } from '../array/ops/sampling/row-settings.ts';
import { sample } from '../array/ops/sampling/sample.ts';
import { allPatterns, namesIn, type PatternCounts, type PatternSet, patternKey } from '../array/patterns.ts';
import type { Plan, RunArguments } from '../array/plan.ts';
import type { PlanOutput, Scalars } from '../array/plan-output.ts';
import { State } from '../array/weight.ts';
import type { TypedArray } from '../base/dtype.ts';
import { dynDim } from '../base/shape.ts';
import type { CacheStore, SequenceRows } from '../cache/contract.ts';
import type { Device, DeviceProgram } from '../device/device.ts';
import type { ModelGraph } from '../models/contract.ts';
import { MAX_BIASES } from './sampling.ts';

/** Rows of prompts in one step: enough for the matrix product to be arithmetic, small enough to cancel between steps. */
export const CHUNK = 512;

/** Alternatives reported beside the sampled token (OpenAI's limit). */
export const TOP_LOGPROBS = 20;

export interface TokenLogprob {
  readonly id: number;
  /** Natural logarithm of the probability, after penalties, bias and constraint, before temperature and cuts. */
  readonly logprob: number;
}

export interface GeneratedToken extends TokenLogprob {
  /** The most probable tokens, best first: as many as were asked for. */
  readonly top: readonly TokenLogprob[];
}

/** The sample after the last row of a part. */
export interface SampleRequest {
  /** Of the generation. Penalties look at the counts of the part's slot. */
  readonly settings: RowSettings;
  /** Samples of the generation before this one. */
  readonly step: number;
  /** Alternatives to report. */
  readonly top: number;
  readonly biases: readonly { readonly id: number; readonly value: number }[];
  /** Bit `id & 31` of word `id >> 5` is set for tokens that are allowed. */
  readonly mask: Int32Array | undefined;
}

/** Rows of one sequence. */
export interface StepPart extends SequenceRows {
  /** Token ids of the rows; place `from` of the samples of the step submitted before, for one row whose token they are. */
  readonly ids: readonly number[] | { readonly from: number };
  /** Row of counts for penalties that these tokens are added to. */
  readonly slot: number | undefined;
  /** Tokens before these rows, when the row of counts starts with them: at most one context length over all parts. */
  readonly context: readonly number[] | undefined;
  readonly sample: SampleRequest | undefined;
}

type Inputs = NonNullable<RunArguments['inputs']>;

export interface RunnerOptions {
  readonly model: ModelGraph;
  readonly device: Device;
  readonly cache: CacheStore;
  readonly contextLength: number;
  /** Sequences of one step, and rows of counts. */
  readonly maxSequences: number;
  /** Record the time of each dispatch. */
  readonly profile?: boolean;
  /** The fusions of its plan; default all. */
  readonly patterns?: PatternSet;
}

export class Runner {
  /** Rows of prompts that a step has room for, beside one row for each sequence. */
  readonly chunk: number;
  readonly #maxSequences: number;
  readonly #vocabSize: number;
  readonly #cache: CacheStore;
  /** How often each token is in the context of each slot: what penalties look at. */
  readonly #counts: State;
  readonly #options: RunnerOptions;
  /** By the key of their patterns. */
  readonly #plans = new Map<string, Plan>();
  #patterns: PatternSet;
  #plan: Plan;

  constructor(options: RunnerOptions) {
    const { device, cache, model, contextLength, maxSequences } = options;
    this.#cache = cache;
    this.#maxSequences = maxSequences;
    this.#vocabSize = model.config.vocabSize;
    this.chunk = Math.min(CHUNK, contextLength);
    const shape = [maxSequences, this.#vocabSize];
    this.#counts = new State({ device, shape, dtype: 'i32', label: 'token counts', sparse: true });
    this.#options = options;
    this.#patterns = options.patterns ?? allPatterns;
    this.#plan = this.#planOf(this.#patterns);
  }

  /** The fusions of the plan that runs. */
  get patterns(): PatternSet {
    return this.#patterns;
  }

  /** How often each of them applied. */
  get patternCounts(): PatternCounts {
    return this.#plan.patterns;
  }

  /**
   * From the next step on runs a plan with these fusions; no step may be in flight. Plans used before are there until
   * `keepOnly`. When the new one fails, the old one stays.
   */
  async use(patterns: PatternSet): Promise<void> {
    const plan = this.#planOf(patterns);
    try {
      await plan.ready;
    } catch (error) {
      this.#plans.delete(patternKey(patterns));
      plan.dispose();
      throw error;
    }
    this.#plan = plan;
    this.#patterns = patterns;
  }

  /**
   * Makes the plan again, where the device's kernels or the model's modules have changed; no step may be in flight. When it fails,
   * the old one stays.
   */
  async rebuild(): Promise<void> {
    const key = patternKey(this.#patterns);
    const old = this.#plan;
    this.#plans.delete(key);
    try {
      await this.use(this.#patterns);
    } catch (error) {
      this.#plans.set(key, old);
      throw error;
    }
    old.dispose();
    this.keepOnly(this.#patterns);
  }

  /** Frees the plans that were used before, but for those with one of these sets of fusions. */
  keepOnly(...sets: readonly PatternSet[]): void {
    const kept = new Set(sets.map(patternKey));
    for (const [key, plan] of this.#plans) {
      if (kept.has(key) || plan === this.#plan) continue;
      this.#plans.delete(key);
      plan.dispose();
    }
  }

  #planOf(patterns: PatternSet): Plan {
    const key = patternKey(patterns);
    const plan = this.#plans.get(key) ?? this.#compile({ ...this.#options, patterns });
    this.#plans.set(key, plan);
    return plan;
  }

  /** Time per dispatch of the last step, when recorded. */
  profile(): ReturnType<Plan['profile']> {
    return this.#plan.profile();
  }

  /** Resolves when steps need not wait for the device's compilers; rejects when they refused a kernel. */
  get ready(): Promise<void> {
    return this.#plan.ready;
  }

  /** The step's program, and the scalars of the step submitted last: what the tuner runs again. */
  get tunable(): { readonly program: DeviceProgram; readonly scalars: Scalars } {
    return { program: this.#plan.program, scalars: this.#plan.submitted };
  }

  /**
   * Runs the parts as one step and resolves to the token of each part with a sample, in their order. What is given is
   * captured by the call, and steps end in the order of the calls.
   */
  async submit(parts: readonly StepPart[]): Promise<readonly GeneratedToken[]> {
    const sampled: SampleRequest[] = [];
    for (const { sample: request } of parts) if (request !== undefined) sampled.push(request);
    const feeds = parts.some(({ ids }) => 'from' in ids);
    const inputs: Inputs = Object.assign(
      rowInputs(parts),
      sampleInputs(parts, sampled),
      this.#contextInputs(parts),
      this.#cache.bind(parts),
      feeds ? undefined : { previous: [0] },
    );
    const outputs = await this.#plan.run({ inputs, feed: feeds ? { previous: 'id' } : {} });
    return readTokens(outputs, sampled);
  }

  dispose(): void {
    for (const plan of this.#plans.values()) plan.dispose();
    this.#counts.dispose();
  }

  #compile({
    model,
    device,
    cache,
    contextLength,
    maxSequences,
    profile = false,
    patterns = allPatterns,
  }: RunnerOptions): Plan {
    const { vocabSize } = model.config;
    const rows = dynDim('rows', this.chunk + maxSequences);
    const samples = dynDim('samples', maxSequences);
    const before = dynDim('before', maxSequences);
    const context = dynDim('context', contextLength);
    const masks = dynDim('masks', maxSequences);
    const biases = dynDim('biases', MAX_BIASES * maxSequences);
    const i32 = 'i32' as const;
    return compile(
      (x) => {
        const fed = take(x.previous, x.sources.maximum(0));
        const ids = where(x.sources.ge(0), fed, x.ids);
        const hidden = model.hidden(ids, x.positions, cache.view(x));
        const logits = model.logits(take(hidden, x.last, 0));
        count(this.#counts, x.contextIds, { slots: x.contextSlots, fresh: x.fresh });
        const penalised = penalize(logits, x.settings, {
          counts: count(this.#counts, ids, { slots: x.slots }),
          masks: x.masks,
          biases: { rows: x.biasRows, ids: x.biasIds, values: x.biasValues },
        });
        return { ...sample(penalised, x.settings, Math.min(TOP_LOGPROBS, vocabSize)) };
      },
      {
        device,
        profile,
        patterns: namesIn(patterns),
        inputs: {
          ids: { shape: [rows], dtype: i32 },
          /** Place of a row's token in `previous`, -1 when `ids` has it. */
          sources: { shape: [rows], dtype: i32 },
          previous: { shape: [before], dtype: i32 },
          positions: { shape: [rows], dtype: i32 },
          slots: { shape: [rows], dtype: i32 },
          last: { shape: [samples], dtype: i32 },
          settings: { shape: [samples, SETTINGS_WORDS], dtype: i32 },
          contextIds: { shape: [context], dtype: i32 },
          contextSlots: { shape: [context], dtype: i32 },
          fresh: { shape: [maxSequences], dtype: i32 },
          masks: { shape: [masks, Math.ceil(vocabSize / 32)], dtype: i32 },
          biasRows: { shape: [biases], dtype: i32 },
          biasIds: { shape: [biases], dtype: i32 },
          biasValues: { shape: [biases], dtype: 'f32' },
          ...cache.inputs(rows),
        },
      },
    );
  }

  #contextInputs(parts: readonly StepPart[]) {
    const fresh = new Int32Array(this.#maxSequences);
    const ids: number[] = [];
    const slots: number[] = [];
    for (const { slot, context } of parts) {
      if (slot === undefined || context === undefined) continue;
      fresh[slot] = 1;
      for (const id of context) {
        ids.push(id);
        slots.push(slot);
      }
    }
    return { fresh, contextIds: ids, contextSlots: slots };
  }
}

/** Per row: token or where it comes from, position, slot. */
function rowInputs(parts: readonly StepPart[]) {
  const total = parts.reduce((sum, { rows }) => sum + rows, 0);
  const make = (fill: number): Int32Array => new Int32Array(total).fill(fill);
  const [ids, sources, positions, slots] = [make(0), make(-1), make(0), make(-1)];
  let at = 0;
  for (const part of parts) {
    const start = part.sequence.length - part.rows;
    if ('from' in part.ids) sources[at] = part.ids.from;
    else ids.set(part.ids, at);
    for (let i = 0; i < part.rows; i++) positions[at + i] = start + i;
    if (part.slot !== undefined) slots.fill(part.slot, at, at + part.rows);
    at += part.rows;
  }
  return { ids, sources, positions, slots };
}

/** Per sample: its row, settings, mask and biases. */
function sampleInputs(parts: readonly StepPart[], sampled: readonly SampleRequest[]) {
  const last: number[] = [];
  const own: RowSettings[] = [];
  const masks: Int32Array[] = [];
  let row = -1;
  for (const part of parts) {
    row += part.rows;
    if (part.sample === undefined) continue;
    last.push(row);
    const { mask, step, top } = part.sample;
    own.push({ step, top, slot: part.slot ?? -1, mask: mask === undefined ? -1 : masks.push(mask) - 1 });
  }
  const [biasRows, biasIds, biasValues]: [number[], number[], number[]] = [[], [], []];
  sampled.forEach(({ biases }, at) => {
    for (const { id, value } of biases) {
      biasRows.push(at);
      biasIds.push(id);
      biasValues.push(value);
    }
  });
  const words = masks[0]?.length ?? 0;
  const allMasks = new Int32Array(masks.length * words);
  masks.forEach((mask, i) => {
    allMasks.set(mask, i * words);
  });
  const settings = settingsWords(
    sampled.map((request) => request.settings),
    own,
  );
  return { last, settings, masks: allMasks, biasRows, biasIds, biasValues };
}

/** The outputs of a step are id, logprob, topIds, topLogprobs, each with a row per sample. */
async function readTokens(
  outputs: readonly PlanOutput[],
  sampled: readonly SampleRequest[],
): Promise<readonly GeneratedToken[]> {
  const wanted = sampled.some(({ top }) => top > 0) ? outputs.length : 2;
  const read: TypedArray[] = [];
  for (let i = 0; i < wanted; i++) {
    const output = outputs[i] as PlanOutput;
    read.push(output.captured ?? (await output.data()));
  }
  const [ids, logprobs, topIds, topLogprobs] = read;
  const width = (topIds?.length ?? 0) / sampled.length;
  return sampled.map((request, row) => {
    const top: TokenLogprob[] = [];
    for (let i = row * width; i < row * width + Math.min(request.top, width); i++) {
      const logprob = topLogprobs?.[i] ?? 0;
      if (Number.isFinite(logprob)) top.push({ id: topIds?.[i] ?? 0, logprob });
    }
    return { id: ids?.[row] ?? 0, logprob: logprobs?.[row] ?? 0, top };
  });
}
