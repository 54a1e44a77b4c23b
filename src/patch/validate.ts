// Compares two ways to run a model: tokens, logits, speed and memory, and whether what was promised held.

import { namesIn } from '../array/patterns.ts';
import { IngotError } from '../base/errors.ts';
import { type Summary, summarize } from '../base/statistics.ts';
import type {
  Capsule,
  CapsulePromise,
  CapsuleSide,
  LogitDifferences,
  PromptFidelity,
  SpeedComparison,
} from './capsule.ts';
import { LogitComparison } from './logits.ts';
import {
  encodePrompts,
  firstDifference,
  interleave,
  type PromptRun,
  type RoundTimes,
  runPrompts,
  type Side,
} from './measure.ts';
import { type PatchableModel, targetOf } from './target.ts';

/** A model whose logits can be read. */
export interface ComparableModel extends PatchableModel {
  readonly info: PatchableModel['info'] & { readonly format: string };
  logits(
    tokens: readonly number[],
  ): Promise<{ readonly data: Float32Array; readonly shape: readonly [number, number] }>;
}

export interface ComparedSide extends Side {
  readonly model: ComparableModel;
  readonly label: string;
  readonly device: string;
  readonly precision: string;
}

/** What must hold between the two, besides that each gives the same tokens every time. */
export interface Promises {
  /** Every token is the same. */
  readonly tokens?: boolean;
  /** A token differs only where the reference's own margin is below this. */
  readonly margin?: number;
  /** Largest difference of a logit. */
  readonly maxAbs?: number;
  /** Least share of rows whose best token is the same. */
  readonly top1?: number;
}

export interface CompareOptions {
  readonly prompts: readonly (string | readonly number[])[];
  /** Tokens after each prompt. */
  readonly tokens: number;
  /** Rounds that are timed. */
  readonly rounds: number;
  readonly promises: Promises;
  readonly signal?: AbortSignal | undefined;
  /** Prompts run so far, of all. */
  readonly onProgress?: ((done: number, total: number) => void) | undefined;
}

/** What a comparison finds; the rest of a capsule is about the machine. */
export type Findings = Omit<Capsule, 'capsule' | 'ingot' | 'node' | 'date' | 'machine' | 'memory'>;

/** Prompts whose logits are compared, beside those whose tokens differ: logits of a row are as many as the vocabulary. */
const logitPrompts = 4;

/**
 * Runs both on all prompts, greedily: once each for tokens and margins, then in turn for times; every run is compared.
 * @throws what generating throws, and `invalid_argument` when the two have different vocabularies.
 */
export async function compareSides(
  reference: ComparedSide,
  other: ComparedSide,
  options: CompareOptions,
): Promise<Findings> {
  const { tokens, rounds, signal, promises } = options;
  const prompts = encodePrompts(reference.model, options.prompts, tokens);
  const total = prompts.length * (2 + 2 * rounds) + Math.min(prompts.length, logitPrompts);
  let done = 0;
  const onPrompt = (): void => options.onProgress?.(++done, total);
  const run = { tokens, signal, onPrompt };
  const first = await runPrompts(reference, prompts, { ...run, margins: true });
  const referenceSide = describe(reference);
  const second = await runPrompts(other, prompts, { ...run, margins: true });
  const otherSide = describe(other);
  const timed = await interleave(reference, other, prompts, { ...run, rounds });
  const logits = await compareLogits(reference, other, prompts, first, onPrompt);
  const fidelity = prompts.map((prompt, i): PromptFidelity => {
    const [a, b] = [first[i], second[i]];
    const at = firstDifference(a?.tokens ?? [], b?.tokens ?? []);
    return {
      promptTokens: prompt.length,
      tokens,
      equal: at ?? tokens,
      margin: at === undefined ? undefined : a?.margins[at],
    };
  });
  const sides = [
    { ...referenceSide, first, runs: timed.runs.a },
    { ...otherSide, first: second, runs: timed.runs.b },
  ];
  const kept = [...sides.map(steadiness), ...promised({ promises, fidelity, logits })];
  return {
    reference: referenceSide,
    other: otherSide,
    prompts: fidelity,
    runs: rounds + 1,
    logits,
    decode: speeds(timed, prompts.length * (tokens - 1), (t) => t.decodeMs),
    prefill: speeds(
      timed,
      prompts.reduce((n, p) => n + p.length, 0),
      (t) => t.prefillMs,
    ),
    promises: kept,
    passed: kept.every(({ held }) => held),
  };
}

function describe({ label, model, device, precision }: ComparedSide): CapsuleSide {
  const { patterns, counts, dispatches, place } = targetOf(model);
  return {
    label,
    model: model.info.name,
    family: model.info.family,
    format: model.info.format,
    device,
    deviceClass: place.device,
    precision,
    patterns: namesIn(patterns),
    patternCounts: counts,
    dispatches,
  };
}

async function compareLogits(
  reference: ComparedSide,
  other: ComparedSide,
  prompts: readonly (readonly number[])[],
  runs: readonly PromptRun[],
  onPrompt: () => void,
): Promise<LogitDifferences | undefined> {
  const texts = prompts.slice(0, logitPrompts).map((p, i) => [...p, ...(runs[i]?.tokens ?? [])].slice(0, -1));
  const comparison = new LogitComparison();
  const rows: Float32Array[] = [];
  await reference.prepare();
  for (const text of texts) rows.push((await reference.model.logits(text)).data);
  await other.prepare();
  for (const [i, text] of texts.entries()) {
    const { data, shape } = await other.model.logits(text);
    const width = shape[1];
    const before = rows[i] as Float32Array;
    if (before.length !== data.length) {
      throw new IngotError(
        'invalid_argument',
        `${reference.model.info.name} has ${before.length / text.length} logits and ${other.model.info.name} has ${width}: they have different vocabularies`,
      );
    }
    for (let at = 0; at < data.length; at += width)
      comparison.add(before.subarray(at, at + width), data.subarray(at, at + width));
    onPrompt();
  }
  return comparison.result();
}

function speeds(
  timed: { readonly a: readonly RoundTimes[]; readonly b: readonly RoundTimes[] },
  tokens: number,
  of: (times: RoundTimes) => number,
): SpeedComparison {
  const rate = (times: readonly RoundTimes[]): readonly number[] =>
    times.map((t) => (of(t) > 0 ? (1000 * tokens) / of(t) : 0));
  const [a, b] = [rate(timed.a), rate(timed.b)];
  const ratio = a.map((x, i) => (x > 0 ? (b[i] ?? 0) / x : 1));
  return { reference: rounded(a), other: rounded(b), ratio: rounded(ratio) };
}

function rounded(values: readonly number[]): Summary {
  const { median, min, max } = summarize(values);
  const short = (x: number): number => Number(x.toPrecision(4));
  return { median: short(median), min: short(min), max: short(max) };
}

/** That a side gives the same tokens every time is promised always. */
function steadiness({
  label,
  first,
  runs,
}: {
  readonly label: string;
  readonly first: readonly PromptRun[];
  readonly runs: readonly (readonly PromptRun[])[];
}): CapsulePromise {
  const differing = runs.filter((run) =>
    run.some((r, i) => firstDifference(r.tokens, first[i]?.tokens ?? []) !== undefined),
  ).length;
  return {
    what: `${label} gives the same tokens every time`,
    held: differing === 0,
    found: `${runs.length - differing} of ${runs.length} further runs are as the first`,
  };
}

function* promised({
  promises,
  fidelity,
  logits,
}: {
  readonly promises: Promises;
  readonly fidelity: readonly PromptFidelity[];
  readonly logits: LogitDifferences | undefined;
}): Generator<CapsulePromise> {
  const apart = fidelity.filter((p) => p.equal < p.tokens);
  const tokens = fidelity.reduce((n, p) => n + p.tokens, 0);
  if (promises.tokens === true) {
    yield {
      what: 'every token is the same',
      held: apart.length === 0,
      found:
        apart.length === 0
          ? `${tokens} of ${tokens} tokens`
          : `${apart.length} of ${fidelity.length} prompts go apart, the first after ${Math.min(...apart.map((p) => p.equal))} tokens`,
    };
  }
  if (promises.margin !== undefined) {
    const limit = promises.margin;
    const widest = Math.max(0, ...apart.map((p) => p.margin ?? Number.POSITIVE_INFINITY));
    yield {
      what: `tokens differ only where two are within ${limit} of each other`,
      held: widest <= limit,
      found:
        apart.length === 0
          ? 'no token differs'
          : `${apart.length} of ${fidelity.length} prompts go apart, at margins up to ${widest.toPrecision(3)}`,
    };
  }
  if (promises.maxAbs !== undefined && logits !== undefined) {
    yield {
      what: `logits differ by ${promises.maxAbs} at most`,
      held: logits.maxAbs <= promises.maxAbs,
      found: `${logits.maxAbs.toPrecision(3)} over ${logits.rows} rows`,
    };
  }
  if (promises.top1 !== undefined && logits !== undefined) {
    yield {
      what: `the best token is the same in ${100 * promises.top1} % of rows at least`,
      held: logits.top1 >= promises.top1,
      found: `${(100 * logits.top1).toFixed(2)} % of ${logits.rows} rows`,
    };
  }
}
