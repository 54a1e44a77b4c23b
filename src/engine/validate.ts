// `ingot validate`: a model against itself without fusions, or against another way to run it.

import { cpus, totalmem } from 'node:os';
import {
  namesIn,
  type PatternChoice,
  type PatternName,
  patternName,
  resolvePatterns,
} from '../array/patterns.ts';
import { IngotError } from '../base/errors.ts';
import { nearest } from '../base/text.ts';
import { type Capsule, capsuleVersion } from '../patch/capsule.ts';
import { validationPrompts, validationTokens } from '../patch/prompts.ts';
import { targetOf } from '../patch/target.ts';
import { type ComparedSide, compareSides, type Promises } from '../patch/validate.ts';
import { load } from './load.ts';
import type { LoadOptions, Model } from './types.ts';

export interface ValidateOptions extends LoadOptions {
  /** What the model is compared with, such as `device=js,precision=exact`; default `patterns=none`. */
  readonly against?: string | undefined;
  /** Default: twenty that come with the package. */
  readonly prompts?: readonly (string | readonly number[])[] | undefined;
  /** Tokens after each prompt. Default 200. */
  readonly tokens?: number | undefined;
  /** Rounds that are timed. Default 3. */
  readonly rounds?: number | undefined;
  /** Of the package. */
  readonly version: string;
  /** Prompts run so far, of all. */
  readonly onPrompts?: ((done: number, total: number) => void) | undefined;
}

/** The reference: what differs from the model that is validated. */
export interface Against {
  readonly label: string;
  readonly model: string | undefined;
  readonly load: LoadOptions;
}

/**
 * Loads the model, and once more as what it is compared with where the weights are not the same, and compares them.
 * @throws what `load` throws, and `invalid_argument` for an `against` that cannot be read.
 */
export async function validateModel(name: string, options: ValidateOptions): Promise<Capsule> {
  const {
    against: spec = 'patterns=none',
    prompts,
    tokens = 200,
    rounds = 3,
    version,
    onPrompts,
    ...given
  } = options;
  const against = parseAgainst(spec);
  const loading = { ...given, maxSequences: given.maxSequences ?? 1 };
  await using model = await load(name, loading);
  const shared = isSameWeights(against);
  await using second = shared
    ? undefined
    : await load(against.model ?? name, { ...loading, ...against.load });
  const own = targetOf(model).patterns;
  const others =
    second === undefined ? resolvePatterns(against.load.patterns, own) : targetOf(second).patterns;
  const reference = side(second ?? model, against.label, others, { ...loading, ...against.load });
  const other = side(model, labelOf(given, shared), own, loading);
  const vocabSize = prompts === undefined && !model.hasTokenizer ? (await model.logits([0])).shape[1] : 0;
  const findings = await compareSides(reference, other, {
    prompts: prompts ?? (model.hasTokenizer ? validationPrompts : validationTokens(vocabSize)),
    tokens,
    rounds,
    promises: promisesOf(against, reference, other),
    signal: options.signal,
    onProgress: onPrompts,
  });
  return {
    capsule: capsuleVersion,
    ingot: version,
    node: process.version,
    date: new Date().toISOString(),
    machine: {
      platform: `${process.platform} ${process.arch}`,
      cpu: cpus()[0]?.model ?? 'unknown',
      cores: cpus().length,
      memoryBytes: totalmem(),
    },
    ...findings,
    memory: {
      referenceBytes: targetOf(second ?? model).peakBytes,
      otherBytes: targetOf(model).peakBytes,
      shared,
      processBytes: process.resourceUsage().maxRSS * 1024,
    },
  };
}

/** Only the fusions differ, so one model can be both. */
const isSameWeights = ({ model, load: options }: Against): boolean =>
  model === undefined && Object.keys(options).every((key) => key === 'patterns');

function side(
  model: Model,
  label: string,
  patterns: ReadonlySet<PatternName>,
  { precision = 'fast', signal }: LoadOptions,
): ComparedSide {
  const target = targetOf(model);
  return {
    model,
    label,
    device: target.device,
    precision,
    prepare: async () => {
      await target.use(patterns, signal);
    },
  };
}

const labelOf = ({ device, precision }: LoadOptions, shared: boolean): string =>
  shared ? 'fused' : [device, precision].filter((x) => x !== undefined).join(' ') || 'as loaded';

/**
 * What may not differ. Same device and precision: every token, whatever the fusions, and wherever
 * experts are; `exact` on two devices: every token, and
 * logits to 2e-3; where `fast` is on one side: the best token in 97 % of rows. Other weights promise nothing.
 */
function promisesOf(
  { model, load: options }: Against,
  reference: ComparedSide,
  other: ComparedSide,
): Promises {
  if (model !== undefined) return {};
  if (reference.precision === 'fast' && other.precision === 'fast' && options.device !== undefined)
    return { top1: 0.97 };
  if (reference.precision !== other.precision) return { top1: 0.97 };
  if (options.device !== undefined) return { tokens: true, maxAbs: 2e-3 };
  return { tokens: true };
}

const keys = ['patterns', 'device', 'precision', 'model', 'threads', 'experts'] as const;

/** Reads `key=value,…`. Throws `invalid_argument` with the keys there are. */
export function parseAgainst(spec: string): Against {
  const options: { -readonly [K in keyof LoadOptions]: LoadOptions[K] } = {};
  let model: string | undefined;
  for (const part of spec.split(',')) {
    const at = part.indexOf('=');
    const [key, value] = [part.slice(0, at).trim(), part.slice(at + 1).trim()];
    if (at <= 0 || value === '') throw unreadable(part);
    switch (key) {
      case 'patterns':
        options.patterns = parsePatterns(value);
        break;
      case 'device':
        options.device = value as NonNullable<LoadOptions['device']>;
        break;
      case 'precision':
        options.precision = value as NonNullable<LoadOptions['precision']>;
        break;
      case 'threads':
        options.threads = Number(value);
        break;
      case 'experts':
        options.experts = { residency: value as 'resident' | 'streamed' };
        break;
      case 'model':
        model = value;
        break;
      default:
        throw unreadable(part);
    }
  }
  return { label: spec, model, load: options };
}

function unreadable(part: string): IngotError {
  const close = nearest(part.split('=')[0] ?? '', keys);
  return new IngotError(
    'invalid_argument',
    `cannot read "${part}" of what to compare with: it is key=value with ${keys.join(', ')}, such as device=js,precision=exact` +
      (close === undefined || part.startsWith(`${close}=`) ? '' : `; did you mean ${close}?`),
  );
}

/** `none`, `all`, names joined by `+`, or `-name` for all but some. */
export function parsePatterns(text: string): PatternChoice {
  if (text === 'none') return [];
  if (text === 'all') return namesIn(resolvePatterns(undefined));
  const names = text.split('+');
  if (names.every((name) => name.startsWith('-')))
    return Object.fromEntries(names.map((name) => [patternName(name.slice(1)), false]));
  return names.map(patternName);
}
