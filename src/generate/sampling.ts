// Sampling parameters: their ranges, defaults, and the plan scalars they become. The sampling itself runs in the plan.

import { IngotError } from '../base/errors.ts';

export interface SamplingOptions {
  /** 0 takes the most probable token; default 0. */
  readonly temperature?: number | undefined;
  /** Keeps the k most probable tokens; 0 (default) keeps all. */
  readonly topK?: number | undefined;
  /** Keeps the smallest set of most probable tokens whose probabilities sum to at least p; default 1. */
  readonly topP?: number | undefined;
  /** Drops tokens less probable than minP times the most probable one; default 0. */
  readonly minP?: number | undefined;
  /** Divides positive and multiplies negative logits of tokens already in the context; default 1 (off). CTRL, arXiv 1909.05858. */
  readonly repetitionPenalty?: number | undefined;
  /** Subtracted once from the logit of every token already in the context; default 0. */
  readonly presencePenalty?: number | undefined;
  /** Subtracted from a token's logit for every time it is in the context; default 0. */
  readonly frequencyPenalty?: number | undefined;
  /** Unsigned 32-bit seed; default: random. Same seed, plan and device: same tokens. */
  readonly seed?: number | undefined;
}

/** Names of the plan scalars that sampling reads, with their types. */
export const samplingScalars = {
  temperature: 'f32',
  topK: 'i32',
  topP: 'f32',
  minP: 'f32',
  repetitionPenalty: 'f32',
  presencePenalty: 'f32',
  frequencyPenalty: 'f32',
  seed: 'u32',
  step: 'u32',
} as const;

export type SamplingScalars = Record<keyof typeof samplingScalars, number>;

interface Range {
  readonly min: number;
  readonly max: number;
  readonly fallback: number;
  readonly integer?: boolean;
  /** The lower end itself is not allowed. */
  readonly open?: boolean;
}

const ranges: Readonly<Record<Exclude<keyof SamplingOptions, 'seed'>, Range>> = {
  temperature: { min: 0, max: 100, fallback: 0 },
  topK: { min: 0, max: 2 ** 31 - 1, fallback: 0, integer: true },
  topP: { min: 0, max: 1, fallback: 1, open: true },
  minP: { min: 0, max: 1, fallback: 0 },
  repetitionPenalty: { min: 0, max: 100, fallback: 1, open: true },
  presencePenalty: { min: -100, max: 100, fallback: 0 },
  frequencyPenalty: { min: -100, max: 100, fallback: 0 },
};

function checked(name: keyof typeof ranges, value: number | undefined): number {
  const { min, max, fallback, integer, open } = ranges[name];
  if (value === undefined) return fallback;
  const inside = open ? value > min && value <= max : value >= min && value <= max;
  if (!inside || (integer && !Number.isInteger(value))) {
    const kind = integer ? 'an integer' : 'a number';
    throw new IngotError(
      'invalid_argument',
      `${name} must be ${kind} ${open ? 'above' : 'from'} ${min} and at most ${max}, got ${value}`,
    );
  }
  return value;
}

/** The plan scalars of these options at step 0. Throws `invalid_argument` with the allowed range. */
export function resolveSampling(options: SamplingOptions): SamplingScalars {
  const seed = options.seed ?? Math.floor(Math.random() * 2 ** 32);
  if (!Number.isInteger(seed) || seed < 0 || seed >= 2 ** 32) {
    throw new IngotError('invalid_argument', `seed must be an integer from 0 to ${2 ** 32 - 1}, got ${seed}`);
  }
  return {
    temperature: checked('temperature', options.temperature),
    topK: checked('topK', options.topK),
    topP: checked('topP', options.topP),
    minP: checked('minP', options.minP),
    repetitionPenalty: checked('repetitionPenalty', options.repetitionPenalty),
    presencePenalty: checked('presencePenalty', options.presencePenalty),
    frequencyPenalty: checked('frequencyPenalty', options.frequencyPenalty),
    seed,
    step: 0,
  };
}
