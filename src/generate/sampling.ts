// Sampling parameters: their ranges, defaults, and the words they become. The sampling itself runs in the plan.

import type { RowSettings } from '../array/ops/sampling/row-settings.ts';
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
  /** Added to the logits of these tokens, by id; -100 … 100. -100 all but bans a token, 100 all but forces it. */
  readonly logitBias?: Readonly<Record<number, number>> | undefined;
  /** Unsigned 32-bit seed; default: random. Same seed, plan and device: same tokens. */
  readonly seed?: number | undefined;
}

/** Biases that one generation may have: bounds what a step carries for all of them. */
export const MAX_BIASES = 1024;

/** How a generation samples: the same at each of its tokens but for the step. */
export interface Sampling {
  readonly settings: Required<
    Pick<
      RowSettings,
      'temperature' | 'topK' | 'topP' | 'minP' | 'repetition' | 'presence' | 'frequency' | 'seed'
    >
  >;
  /** Whether penalties look at the tokens of the context. */
  readonly penalised: boolean;
  readonly biases: readonly { readonly id: number; readonly value: number }[];
}

interface Range {
  readonly min: number;
  readonly max: number;
  readonly fallback: number;
  readonly integer?: boolean;
  /** The lower end itself is not allowed. */
  readonly open?: boolean;
}

const ranges: Readonly<Record<Exclude<keyof SamplingOptions, 'seed' | 'logitBias'>, Range>> = {
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

/** Throws `invalid_argument` with the allowed range. */
export function resolveSampling(options: SamplingOptions, vocabSize: number): Sampling {
  const seed = options.seed ?? Math.floor(Math.random() * 2 ** 32);
  if (!Number.isInteger(seed) || seed < 0 || seed >= 2 ** 32) {
    throw new IngotError('invalid_argument', `seed must be an integer from 0 to ${2 ** 32 - 1}, got ${seed}`);
  }
  const settings = {
    temperature: checked('temperature', options.temperature),
    topK: checked('topK', options.topK),
    topP: checked('topP', options.topP),
    minP: checked('minP', options.minP),
    repetition: checked('repetitionPenalty', options.repetitionPenalty),
    presence: checked('presencePenalty', options.presencePenalty),
    frequency: checked('frequencyPenalty', options.frequencyPenalty),
    seed,
  };
  const penalised = settings.repetition !== 1 || settings.presence !== 0 || settings.frequency !== 0;
  return { settings, penalised, biases: resolveBiases(options.logitBias ?? {}, vocabSize) };
}

function resolveBiases(biases: Readonly<Record<number, number>>, vocabSize: number): Sampling['biases'] {
  const list = Object.entries(biases).map(([id, value]) => ({ id: Number(id), value }));
  if (list.length > MAX_BIASES) {
    throw new IngotError(
      'invalid_argument',
      `logitBias has ${list.length} tokens, at most ${MAX_BIASES} are possible`,
    );
  }
  for (const { id, value } of list) {
    if (!Number.isInteger(id) || id < 0 || id >= vocabSize) {
      throw new IngotError(
        'invalid_argument',
        `logitBias names token ${id}, which is outside the vocabulary of ${vocabSize} tokens`,
      );
    }
    if (!(value >= -100 && value <= 100)) {
      throw new IngotError(
        'invalid_argument',
        `logitBias of token ${id} must be from -100 to 100, got ${value}`,
      );
    }
  }
  return list;
}
