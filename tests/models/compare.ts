// How far logits may be from a reference, by formula, and the report when they are farther.

import type { DecoderConfig } from '../../src/models/config/decoder.ts';

/** Matrix products that an activation passes through one after the other: six per layer, and the head. */
const stages = (config: DecoderConfig): number => 6 * config.numLayers + 1;

/** Longest sum in the model: a row of a projection, a head's output over all positions. */
const longestSum = (config: DecoderConfig, tokens: number): number => {
  const widths = config.layers.flatMap((layer) => [
    'attention' in layer ? layer.attention.numHeads * layer.attention.headDim : layer.convolution.channels,
    layer.feedForward.intermediateSize,
  ]);
  return Math.max(config.hiddenSize, tokens, ...widths);
};

/**
 * Largest difference of two f32 computations of the same logits. Each product of K terms rounds like a random walk,
 * sqrt(K) * 2^-24 of its magnitude; `stages` of them follow one another, each passing on the error of the one before.
 * The factor 4 is the tail: the largest of some ten thousand logits lies about four standard deviations out.
 */
export const exactBound = (config: DecoderConfig, tokens: number, largestLogit: number): number =>
  4 * stages(config) * Math.sqrt(longestSum(config, tokens)) * 2 ** -24 * largestLogit;

/**
 * Typical (root mean square) error of logits when every product rounds its activations to 8 bits per group: a step of
 * 1/127 of the group's largest value (about 3 standard deviations), uniform rounding (1 / sqrt(12)), relative to the
 * typical logit; independent over stages.
 */
export const fastRms = (config: DecoderConfig, typicalLogit: number): number =>
  (3 / 127 / Math.sqrt(12)) * Math.sqrt(stages(config)) * typicalLogit;

export interface Difference {
  readonly max: number;
  readonly mean: number;
  readonly p99: number;
  readonly rms: number;
  /** Row and column of the largest difference, with both values. */
  readonly worst: string;
}

/** Compares two `[rows, columns]` matrices. Any NaN makes every number of the report NaN or infinite. */
export function difference(got: Float32Array, want: Float32Array, columns: number): Difference {
  if (got.length !== want.length) throw new Error(`${got.length} values for ${want.length}`);
  const errors = Float64Array.from(got, (value, i) => {
    const error = Math.abs(value - want[i]!);
    return Number.isNaN(error) ? Number.POSITIVE_INFINITY : error;
  });
  const at = errors.reduce((best, error, i) => (error > errors[best]! ? i : best), 0);
  const sorted = errors.toSorted();
  return {
    max: errors[at]!,
    mean: errors.reduce((a, b) => a + b, 0) / errors.length,
    p99: sorted[Math.floor(0.99 * (sorted.length - 1))]!,
    rms: Math.sqrt(errors.reduce((a, b) => a + b * b, 0) / errors.length),
    worst: `row ${Math.floor(at / columns)}, column ${at % columns}: ${got[at]} for ${want[at]}`,
  };
}

export const rms = (x: Float32Array): number => Math.sqrt(x.reduce((a, b) => a + b * b, 0) / x.length);

/** Index of the largest value; the first of equal ones. */
export function argmax(x: Float32Array): number {
  let best = 0;
  for (let i = 1; i < x.length; i++) if (x[i]! > x[best]!) best = i;
  return best;
}

/** Largest value minus the second largest. */
export function lead(x: Float32Array): number {
  const [first = 0, second = 0] = x.toSorted((a, b) => b - a);
  return first - second;
}
