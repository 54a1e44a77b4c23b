// Rotary position embedding as numbers: the inverse frequencies and the factor on sine and cosine for every kind of
// context scaling. Computed in f64 and rounded once to f32.

import { IngotError } from '../base/errors.ts';

/** How frequencies are changed so that a model reaches past the length it was pretrained on. */
export type RopeScaling =
  | { readonly kind: 'default' }
  /** All frequencies divided by `factor` (position interpolation, Chen et al. 2023, arXiv:2306.15595). */
  | { readonly kind: 'linear'; readonly factor: number }
  /** The base grows with the sequence once it is longer than `originalContext` (NTK-aware scaling). */
  | { readonly kind: 'dynamic'; readonly factor: number; readonly originalContext: number }
  /** Long wavelengths divided, short ones kept, a linear blend between (Llama 3.1). */
  | {
      readonly kind: 'llama3';
      readonly factor: number;
      readonly lowFreqFactor: number;
      readonly highFreqFactor: number;
      readonly originalContext: number;
    }
  /** Blend by number of rotations in the original context, attention sharpened (YaRN, arXiv:2309.00071). */
  | {
      readonly kind: 'yarn';
      readonly factor: number;
      readonly originalContext: number;
      readonly betaFast: number;
      readonly betaSlow: number;
      /** Whether the ends of the blend are rounded outwards to whole dimensions. */
      readonly truncate: boolean;
      /** Factor on sine and cosine; undefined: computed from factor and the two mscale values. */
      readonly attentionFactor?: number;
      readonly mscale?: number;
      readonly mscaleAllDim?: number;
    }
  /** Each frequency divided by its own number, `[rotaryDim / 2]`, as GGUF files carry them. */
  | { readonly kind: 'factors'; readonly factors: readonly number[] }
  /** The same with two lists, the second for sequences longer than `originalContext` (LongRoPE, arXiv:2402.13753). */
  | {
      readonly kind: 'longrope';
      readonly shortFactors: readonly number[];
      readonly longFactors: readonly number[];
      readonly originalContext: number;
      readonly attentionFactor: number;
    };

export type RopeScalingKind = RopeScaling['kind'];
export const ropeScalingKinds: readonly RopeScalingKind[] = [
  'default',
  'linear',
  'dynamic',
  'llama3',
  'yarn',
  'longrope',
];

export interface RopeConfig {
  readonly theta: number;
  /** Number of dimensions of a head that rotate; even. */
  readonly rotaryDim: number;
  readonly scaling: RopeScaling;
  /** What frequencies theta^(-2i / n) have as n; default `rotaryDim`, less than it where an odd share of a head rotates. */
  readonly exponents?: number;
  /** Pairs are (2i, 2i + 1) instead of (i, i + rotaryDim / 2). */
  readonly interleaved?: boolean;
}

export interface RopeFrequencies {
  /** `[rotaryDim / 2]`, radians per position. */
  readonly invFreq: Float32Array;
  /** Multiplies sine and cosine; 1 except for YaRN and LongRoPE. */
  readonly attentionFactor: number;
}

/**
 * Frequencies of a rotary embedding. `contextLength` matters for dynamic scaling and LongRoPE only: the
 * frequencies are those of a sequence of that many tokens, for all of its positions, so that cached keys stay valid while
 * it grows.
 * Throws invalid_argument for an odd or non-positive rotaryDim, or a number of `factors` that does not fit it.
 */
export function ropeFrequencies(config: RopeConfig, contextLength: number): RopeFrequencies {
  const { rotaryDim, theta, scaling, exponents = rotaryDim } = config;
  if (!Number.isSafeInteger(rotaryDim) || rotaryDim <= 0 || rotaryDim % 2 !== 0) {
    throw new IngotError('invalid_argument', `rope: rotaryDim ${rotaryDim} must be a positive even number`);
  }
  const divided = (by: readonly number[]): Float64Array => {
    if (by.length !== rotaryDim / 2) {
      throw new IngotError('invalid_argument', `rope: ${by.length} factors for ${rotaryDim / 2} frequencies`);
    }
    return plain(theta).map((f, i) => f / (by[i] ?? 1));
  };
  const plain = (base: number): Float64Array =>
    Float64Array.from({ length: rotaryDim / 2 }, (_, i) => base ** (-(2 * i) / exponents));
  switch (scaling.kind) {
    case 'default':
      return rounded(plain(theta), 1);
    case 'linear':
      return rounded(
        plain(theta).map((f) => f / scaling.factor),
        1,
      );
    case 'dynamic':
      return rounded(plain(dynamicBase(theta, exponents, scaling, contextLength)), 1);
    case 'llama3':
      return rounded(
        plain(theta).map((f) => llama3Frequency(f, scaling)),
        1,
      );
    case 'factors':
      return rounded(divided(scaling.factors), 1);
    case 'longrope': {
      const { originalContext, shortFactors, longFactors, attentionFactor } = scaling;
      return rounded(divided(contextLength > originalContext ? longFactors : shortFactors), attentionFactor);
    }
    case 'yarn':
      return rounded(yarnFrequencies(plain(theta), theta, exponents, scaling), yarnAttentionFactor(scaling));
  }
  return scaling satisfies never;
}

const rounded = (frequencies: Float64Array, attentionFactor: number): RopeFrequencies => ({
  invFreq: Float32Array.from(frequencies),
  attentionFactor,
});

function dynamicBase(
  theta: number,
  rotaryDim: number,
  scaling: RopeScaling & { kind: 'dynamic' },
  contextLength: number,
): number {
  const length = Math.max(contextLength, scaling.originalContext);
  const growth = (scaling.factor * length) / scaling.originalContext - (scaling.factor - 1);
  // With a single pair there is no base to stretch: its frequency is 1 whatever the base.
  return rotaryDim === 2 ? theta : theta * growth ** (rotaryDim / (rotaryDim - 2));
}

function llama3Frequency(frequency: number, s: RopeScaling & { kind: 'llama3' }): number {
  const wavelength = (2 * Math.PI) / frequency;
  if (wavelength < s.originalContext / s.highFreqFactor) return frequency;
  if (wavelength > s.originalContext / s.lowFreqFactor) return frequency / s.factor;
  const kept = (s.originalContext / wavelength - s.lowFreqFactor) / (s.highFreqFactor - s.lowFreqFactor);
  return (1 - kept) * (frequency / s.factor) + kept * frequency;
}

function yarnFrequencies(
  frequencies: Float64Array,
  theta: number,
  dims: number,
  s: RopeScaling & { kind: 'yarn' },
): Float64Array {
  // Dimension whose wavelength turns `rotations` times within the original context.
  const dimension = (rotations: number): number =>
    (dims * Math.log(s.originalContext / (rotations * 2 * Math.PI))) / (2 * Math.log(theta));
  const first = dimension(s.betaFast);
  const last = dimension(s.betaSlow);
  const low = Math.max(s.truncate ? Math.floor(first) : first, 0);
  const high = Math.min(s.truncate ? Math.ceil(last) : last, dims - 1);
  const width = high === low ? 0.001 : high - low;
  return frequencies.map((f, i) => {
    const interpolated = Math.min(1, Math.max(0, (i - low) / width));
    return (f / s.factor) * interpolated + f * (1 - interpolated);
  });
}

function yarnAttentionFactor(s: RopeScaling & { kind: 'yarn' }): number {
  if (s.attentionFactor !== undefined) return s.attentionFactor;
  const scale = (weight: number): number => (s.factor <= 1 ? 1 : 0.1 * weight * Math.log(s.factor) + 1);
  return s.mscale && s.mscaleAllDim ? scale(s.mscale) / scale(s.mscaleAllDim) : scale(1);
}
