// Error bounds by formula: how far a quantised weight may be from the value it was made of, and how far a dot product over
// packed weights may be from the exact one. Tests use these instead of tolerances that happened to pass.

import { epsilon } from '../base/dtype.ts';
import type { SourceFormat } from './format.ts';
import { type QuantizedSpec, quantizedSpec } from './layout.ts';

/**
 * Largest |w - dequantised w| of `quantizeReference` for a group of values within [min, max], in a row (or, with steps, a
 * super-block) whose largest magnitude is `peak`.
 *
 * A grid of step s leaves s / 2 inside it. Added are the rounding of the stored scale and minimum (relative epsilon of
 * their type, which moves the far end of the grid by that share of the range) and, for the formats whose grid does not
 * reach both ends, one step: Q4_0 and Q5_0 have one code less on the side away from their largest magnitude. Group scales that are
 * whole steps of a super-block are off by half a step, times the largest code; the same holds for a minimum.
 */
export function quantizationBound(format: SourceFormat, min: number, max: number, peak: number): number {
  const { layout } = format;
  const spec = quantizedSpec(layout.kind);
  if (spec === undefined) {
    const kind = layout.kind as 'f32' | 'f16' | 'bf16';
    return epsilon(kind) * peak + tiny(kind);
  }
  const own = Math.max(Math.abs(min), Math.abs(max));
  if (spec.steps === true) return gridBound(spec, min, max, own) + stepsBound(spec, peak);
  const { metaDtype } = layout;
  if (metaDtype === 'e8m0') return 2 * gridBound(spec, min, max, own) + own / 8; // scales are rounded to powers of two
  if (layout.kind === 'nvfp4') return gridBound(spec, min, max, own) + own / 8 + 6 * 2 ** -9; // scales are e4m3
  const relative = 2 * epsilon(metaDtype as 'f32' | 'f16' | 'bf16');
  const smallest = tiny(metaDtype as 'f32' | 'f16' | 'bf16');
  return gridBound(spec, min, max, own) + relative * (own + (max - min)) + smallest;
}

/** Half a step of the grid that a layout's codes are, when its ends are put on the values' ends. */
function gridBound(spec: QuantizedSpec, min: number, max: number, own: number): number {
  const highest = 2 ** spec.bits - 1;
  if (spec.e4m3 === true) return own / 16;
  if (spec.table !== undefined) {
    const numbers = [...spec.table].sort((a, b) => a - b);
    const gaps = numbers.slice(1).map((n, i) => n - (numbers[i] as number));
    const ends = [Math.abs(numbers[0] as number), Math.abs(numbers.at(-1) as number)];
    // The end with the largest magnitude is on the far side of the values or on the other one.
    return (own * (Math.max(...gaps) / 2 + Math.max(...ends) - Math.min(...ends))) / Math.max(...ends);
  }
  if (spec.minimum === true) {
    // Keeping zero on the grid, and the least squares, may leave an end up to a step and a half outside.
    const step = (max - (spec.steps === true ? Math.min(0, min) : min)) / highest;
    return step / 2 + (step * highest) / (highest - 1);
  }
  const zero = spec.zero ?? 0;
  if (spec.steps === true) return own / (zero - 1); // the search counts large values more: small ones may be a step off
  return spec.bits === 8 ? own / (2 * (zero - 1)) : own / zero;
}

/** What rounding the scales (and minimums) of the groups to steps of the super-block adds. */
function stepsBound(spec: QuantizedSpec, peak: number): number {
  // d itself may be subnormal: half a spacing, times the largest step and code.
  const rounding = 4 * epsilon('f16') * peak + 128 * 32 * 2 ** -24;
  const highest = 2 ** spec.bits - 1;
  if (spec.minimum === true) {
    const most = spec.bits === 2 ? 15 : 63; // of a step
    const d = (2 * peak) / highest / most;
    return (highest + 1) * (d / 2) + peak / most / 2 + rounding;
  }
  const numbers = spec.table?.map(Math.abs) ?? [spec.zero ?? 0];
  const most = spec.bits === 6 ? 127 : 31;
  const end = spec.table === undefined ? (spec.zero ?? 0) - 1 : Math.max(...numbers);
  const d = peak / end / most;
  return (Math.max(...numbers) + 1) * (d / 2) + rounding;
}

/** Spacing of a float type near zero times the largest code: what a scale that becomes subnormal can cost. */
const tiny = (dtype: 'f32' | 'f16' | 'bf16'): number => 255 * (dtype === 'f16' ? 2 ** -24 : 2 ** -133);

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
