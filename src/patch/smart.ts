// smartPatch of a loaded model: measures every fusion alone and all that paid together, and keeps what is faster and changes no token.

import {
  allPatterns,
  type PatternName,
  type PatternSet,
  patternName,
  patternNames,
  patternNeeds,
} from '../array/patterns.ts';
import { IngotError } from '../base/errors.ts';
import type { PatternRecord } from './book.ts';
import {
  encodePrompts,
  firstDifference,
  type Interleaved,
  interleave,
  type PromptRun,
  type RoundTimes,
  runPrompts,
  type Side,
  speedOf,
} from './measure.ts';
import { checkIdle, handleOf, isModel, type Patch, type PatchableFunction } from './patch.ts';
import { checkCount, type FunctionPatch, type FunctionSample, smartPatchFunction } from './smart-function.ts';
import { type PatchableModel, type PatchTarget, targetOf } from './target.ts';

/** What the model is measured with: prompts like those it will get. */
export interface Sample {
  /** Texts or token ids. */
  readonly prompts: readonly (string | readonly number[])[];
  /** Tokens that each is continued by, greedily. Default 64. */
  readonly tokens?: number | undefined;
  /** Rounds that count, over all prompts. Default 3. */
  readonly rounds?: number | undefined;
}

export interface SmartPatchOptions {
  /** Not to be tried. */
  readonly exclude?: readonly PatternName[] | undefined;
  /** Whether the next loads of such models on this machine begin with what was found. Default true. */
  readonly remember?: boolean | undefined;
  readonly signal?: AbortSignal | undefined;
  /** Measurements done, out of all, and what is measured. */
  readonly onProgress?: ((done: number, total: number, what: string) => void) | undefined;
}

/** What was measured of one fusion, against the same plan without it. */
export interface PatternEvidence {
  readonly pattern: PatternName;
  /** How often it applied. */
  readonly count: number;
  /** Fusions that were on in both plans, because it finds nothing without them. */
  readonly beside: readonly PatternName[];
  /** Speed with it over speed without: medians of interleaved rounds. */
  readonly decode: number;
  readonly prefill: number;
  readonly tokensEqual: boolean;
  readonly kept: boolean;
}

export interface SmartPatch extends Patch {
  readonly evidence: readonly PatternEvidence[];
  /** All that was kept together, over the unfused plan. */
  readonly together: { readonly decode: number; readonly prefill: number; readonly tokens: number };
  /** Where the records of it are kept; undefined when they are not. */
  readonly path: string | undefined;
}

const none: PatternSet = new Set();
const total = ({ prefillMs, decodeMs }: RoundTimes): number => prefillMs + decodeMs;

/** For a function or module of `compile`: results are compared in place of tokens; `remember` has no meaning. */
export async function smartPatch(
  target: PatchableFunction,
  sample: FunctionSample,
  options?: Omit<SmartPatchOptions, 'remember'>,
): Promise<FunctionPatch>;
/**
 * Measures each fusion of a loaded model alone and together, interleaved with the plan without it, and leaves the model with
 * those that are faster and give the same tokens. Takes the model for itself: what is asked of it meanwhile disturbs the times.
 * @throws IngotError `invalid_argument` for a model in use, no prompts, or a device that does not give the same tokens twice;
 *   `context_overflow`; the signal's reason when aborted. After a failure the plan is the one before.
 */
export async function smartPatch(
  model: PatchableModel,
  sample: Sample,
  options?: SmartPatchOptions,
): Promise<SmartPatch>;
export async function smartPatch(
  target: PatchableModel | PatchableFunction,
  sample: Sample | FunctionSample,
  options: SmartPatchOptions = {},
): Promise<SmartPatch | FunctionPatch> {
  return isModel(target)
    ? smartPatchModel(target, sample as Sample, options)
    : smartPatchFunction(target, sample as FunctionSample, options);
}

async function smartPatchModel(
  model: PatchableModel,
  sample: Sample,
  options: SmartPatchOptions,
): Promise<SmartPatch> {
  const target = targetOf(model);
  const { tokens = 64, rounds = 3 } = sample;
  checkCount('tokens', tokens);
  checkCount('rounds', rounds);
  const excluded = (options.exclude ?? []).map(patternName);
  checkIdle(model, 'measure');
  const prompts = encodePrompts(model, sample.prompts, tokens);
  const { patterns: before, dispatches } = target;
  const bench = new Bench(model, target, prompts, { tokens, rounds, signal: options.signal });
  try {
    const reference = await bench.reference();
    await target.use(allPatterns);
    const candidates = patternNames.filter((p) => target.counts[p] !== undefined && !excluded.includes(p));
    const evidence: PatternEvidence[] = [];
    const steps = candidates.length + 1;
    for (const [i, pattern] of candidates.entries()) {
      options.onProgress?.(i, steps, pattern);
      evidence.push(await bench.alone(pattern, candidates));
    }
    options.onProgress?.(steps - 1, steps, 'together');
    const { kept, measured } = await bench.together(evidence, reference);
    options.onProgress?.(steps, steps, 'together');
    await target.use(kept);
    target.keepOnly(kept);
    const final = evidence.map((e) => ({ ...e, kept: kept.has(e.pattern) }));
    const compared = prompts.length * tokens;
    const records = final.map((e) => recordOf(e, target, compared));
    return {
      ...handleOf(model, dispatches),
      evidence: final,
      together: { ...measured, tokens: compared },
      path: options.remember === false ? undefined : target.records?.save(records),
    };
  } catch (error) {
    await target.use(before);
    target.keepOnly(before);
    throw error;
  }
}

const recordOf = (
  { pattern, kept, decode, prefill, tokensEqual }: PatternEvidence,
  { place }: PatchTarget,
  tokens: number,
): PatternRecord => ({
  ...place,
  pattern,
  fused: kept,
  decode: Number(decode.toFixed(3)),
  prefill: Number(prefill.toFixed(3)),
  tokensEqual,
  tokens,
});

interface BenchOptions {
  readonly tokens: number;
  readonly rounds: number;
  readonly signal: AbortSignal | undefined;
}

/** Runs pairs of plans of one model. */
class Bench {
  readonly #model: PatchableModel;
  readonly #target: PatchTarget;
  readonly #prompts: readonly (readonly number[])[];
  readonly #options: BenchOptions;

  constructor(
    model: PatchableModel,
    target: PatchTarget,
    prompts: readonly (readonly number[])[],
    options: BenchOptions,
  ) {
    this.#model = model;
    this.#target = target;
    this.#prompts = prompts;
    this.#options = options;
  }

  /** Tokens of the unfused plan, which has to give them twice. */
  async reference(): Promise<readonly PromptRun[]> {
    const [first, second] = [await this.#run(none), await this.#run(none)];
    if (sameTokens(first, second)) return first;
    throw new IngotError(
      'invalid_argument',
      `${this.#model.info.name} does not give the same tokens twice on ${this.#target.place.device}, so there is nothing to compare with`,
    );
  }

  /** One pattern, beside those without which it finds nothing; its tokens are compared with those of the plan without it. */
  async alone(pattern: PatternName, candidates: readonly PatternName[]): Promise<PatternEvidence> {
    const beside = (patternNeeds[pattern] ?? []).filter((name) => candidates.includes(name));
    const without: PatternSet = new Set(beside);
    const fused: PatternSet = new Set([...beside, pattern]);
    const pair = await this.#pair(without, fused);
    await this.#target.use(fused, this.#options.signal);
    const count = this.#target.counts[pattern] ?? 0;
    const before = pair.runs.a[0] ?? [];
    const tokensEqual = [...pair.runs.a, ...pair.runs.b].every((runs) => sameTokens(runs, before));
    return {
      pattern,
      count,
      beside,
      decode: speedOf(pair, (t) => t.decodeMs),
      prefill: speedOf(pair, (t) => t.prefillMs),
      tokensEqual,
      kept: tokensEqual && count > 0 && speedOf(pair, total) > 1,
    };
  }

  /**
   * Those that paid alone, or all that changed no token where that is faster: fusions may pay only together. As long as a token
   * differs, the one that gained least goes.
   */
  async together(evidence: readonly PatternEvidence[], reference: readonly PromptRun[]) {
    const gain = ({ decode, prefill }: PatternEvidence): number => decode * prefill;
    const paid = evidence.filter((e) => e.kept).sort((a, b) => gain(b) - gain(a));
    const all: PatternSet = new Set(evidence.filter((e) => e.tokensEqual).map((e) => e.pattern));
    const few: PatternSet = new Set(paid.map((e) => e.pattern));
    if (all.size > few.size) {
      const pair = await this.#pair(few, all);
      const equal = pair.runs.b.every((runs) => sameTokens(runs, reference));
      if (equal && speedOf(pair, total) > 1) return this.#measured(all);
    }
    for (;;) {
      const kept: PatternSet = new Set(paid.map((e) => e.pattern));
      const found = await this.#measured(kept);
      if (kept.size === 0 || found.runs.every((runs) => sameTokens(runs, reference))) return found;
      paid.pop();
    }
  }

  /** A set against the unfused plan. */
  async #measured(kept: PatternSet) {
    const pair = await this.#pair(none, kept);
    const decode = speedOf(pair, (t) => t.decodeMs);
    const prefill = speedOf(pair, (t) => t.prefillMs);
    return { kept, measured: { decode, prefill }, runs: pair.runs.b };
  }

  async #pair(a: PatternSet, b: PatternSet): Promise<Interleaved> {
    for (const patterns of [a, b]) await this.#run(patterns); // plans are made, caches are warm
    this.#target.keepOnly(a, b);
    return interleave(this.#side(a), this.#side(b), this.#prompts, this.#options);
  }

  #run(patterns: PatternSet): Promise<readonly PromptRun[]> {
    return runPrompts(this.#side(patterns), this.#prompts, this.#options);
  }

  #side(patterns: PatternSet): Side {
    return { model: this.#model, prepare: () => this.#target.use(patterns, this.#options.signal) };
  }
}

const sameTokens = (a: readonly PromptRun[], b: readonly PromptRun[]): boolean =>
  a.every((run, i) => firstDifference(run.tokens, b[i]?.tokens ?? []) === undefined);
