// Error bounds by formula: how far a quantised weight may be from the value it was made of, and how far a dot product over
// packed weights may be from the exact one. Tests use these instead of tolerances that happened to pass.

import { epsilon } from '../base/dtype.ts';
import { IngotError } from '../base/errors.ts';
import type { SourceFormat } from './format.ts';

/**
 * Largest |w - dequantised w| of `quantizeReference` for a group of values within [min, max].
 *
 * A grid of step s leaves s / 2 inside it. Added are the rounding of the stored scale and minimum (relative epsilon of
 * their type, which moves the far end of the grid by that share of the range) and, for the formats whose grid does not
 * reach both ends, one step: Q4_0 has one code less on the side away from its largest magnitude, the k-quants round
 * their group scales to steps of the super-block.
 */
export function quantizationBound(format: SourceFormat, min: number, max: number): number {
  const peak = Math.max(Math.abs(min), Math.abs(max));
  const { layout } = format;
  const rounding = 2 * epsilon(layout.metaDtype) * (peak + (max - min)) + tiny(layout.metaDtype);
  switch (layout.kind) {
    case 'f32':
    case 'f16':
    case 'bf16':
      return epsilon(layout.kind) * peak + tiny(layout.kind);
    case 'q4':
      return peak / 8 + rounding;
    case 'q8':
      return peak / 254 + rounding;
    case 'q4a':
      return (max - min) / 30 + rounding;
    case 'q8a':
      return (max - min) / 510 + rounding;
    case 'q4k':
    case 'q6k':
      throw new IngotError(
        'invalid_argument',
        `${format.name}: the bound depends on the whole super-block; use superBlockBound`,
      );
  }
}

/** Spacing of a float type near zero times the largest code: what a scale that becomes subnormal can cost. */
const tiny = (dtype: 'f32' | 'f16' | 'bf16'): number => 255 * (dtype === 'f16' ? 2 ** -24 : 2 ** -133);

/**
 * Like `quantizationBound` for Q4_K and Q6_K, whose group scales are themselves whole steps of the super-block: `peak` is
 * the largest magnitude in the super-block, [min, max] the range of the group. A scale is off by half a step of d, times
 * the largest code; the same holds for a minimum.
 */
export function superBlockBound(format: SourceFormat, min: number, max: number, peak: number): number {
  // d itself may be subnormal: half a spacing, times the largest scale and code.
  const rounding = 4 * epsilon('f16') * peak + 128 * 32 * 2 ** -24;
  if (format.layout.kind === 'q6k') {
    const d = peak / 31 / 127;
    return Math.max(Math.abs(min), Math.abs(max)) / 62 + 32 * (d / 2) + d / 2 + rounding;
  }
  const low = Math.min(0, min);
  const d = (2 * peak) / 15 / 63;
  const dmin = peak / 63;
  return (max - low) / 30 + 15 * (d / 2) + d / 2 + dmin / 2 + rounding;
}

/** f32 accumulation of `terms` products: |error| <= terms x eps x sum |x w|, for any order of summation. */
export const exactDotBound = (terms: number, sumOfMagnitudes: number): number =>
  (terms + 2) * epsilon('f32') * sumOfMagnitudes;

/**
 * A dot product whose activations are rounded to int8 in groups: each activation is off by half a step of its group,
 * amax / 254, times its weight's magnitude; plus the f32 accumulation of the exact path.
 */
export function fastDotBound(x: Float32Array, w: Float32Array, group = 32): number {
  let bound = 0;
  let magnitudes = 0;
  for (let start = 0; start < x.length; start += group) {
    let peak = 0;
    let weights = 0;
    for (let k = start; k < Math.min(start + group, x.length); k++) {
      peak = Math.max(peak, Math.abs(x[k] as number));
      weights += Math.abs(w[k] as number);
      magnitudes += Math.abs((x[k] as number) * (w[k] as number));
    }
    bound += (peak / 254) * (1 + 4 * epsilon('f32')) * weights;
  }
  return bound + exactDotBound(x.length, magnitudes + bound);
}
