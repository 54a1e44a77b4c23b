// The search for the scales of block formats: least squares with weights, from several starts. The numbers a code can stand for
// are a grid; a group of values is put on it by a scale alone, or by a scale and a minimum.

import { clamp } from './format.ts';
import { f16ToF32, f32ToF16, roundEven } from './half.ts';

/**
 * How much the error of a value counts: its square; that and the mean square of the group; its magnitude and the level of the group; as
 * that of any other. Which one a format takes was measured by the KL of models that have it (docs/formats.md).
 */
export type Weighting = 'square' | 'raised' | 'level' | 'even';

/** Weights of the values [from, from + count), into `out`. A group of zeros counts evenly. */
export function weigh(
  how: Weighting,
  values: Float32Array,
  from: number,
  count: number,
  out: Float64Array,
): void {
  let squares = 0;
  for (let i = 0; i < count; i++) {
    const value = values[from + i] as number;
    squares += value * value;
  }
  const mean = squares / count;
  const level = Math.sqrt(mean);
  const weight = {
    square: (value: number) => value * value,
    raised: (value: number) => mean + value * value,
    level: (value: number) => level + Math.abs(value),
    even: () => 1,
  }[how];
  for (let i = 0; i < count; i++) out[from + i] = squares === 0 ? 1 : weight(values[from + i] as number);
}

/** The numbers that codes stand for, and the code nearest to a number. */
export interface Grid {
  readonly numbers: readonly number[];
  nearest(value: number): number;
}

/** `code - zero` for codes of some bits. */
export function linearGrid(bits: number, zero: number): Grid {
  const highest = 2 ** bits - 1;
  return {
    numbers: Array.from({ length: highest + 1 }, (_, code) => code - zero),
    nearest: (value) => clamp(roundEven(value) + zero, 0, highest),
  };
}

/** Any numbers; of equal ones the first is used. */
export function tableGrid(table: readonly number[]): Grid {
  const order = [...table.keys()].sort((a, b) => (table[a] as number) - (table[b] as number) || a - b);
  const codes = order.filter((code, i) => i === 0 || table[code] !== table[order[i - 1] as number]);
  const middles = codes
    .slice(1)
    .map((code, i) => ((table[code] as number) + (table[codes[i] as number] as number)) / 2);
  return {
    numbers: table,
    nearest(value) {
      let low = 0;
      let high = middles.length;
      while (low < high) {
        const middle = (low + high) >> 1;
        if (value > (middles[middle] as number)) low = middle + 1;
        else high = middle;
      }
      return codes[low] as number;
    },
  };
}

/** Values with their weights: what is fitted. `codes` receives the result. */
export interface Group {
  readonly values: Float32Array;
  readonly weights: Float64Array;
  readonly from: number;
  readonly count: number;
}

/** Starts on each side of the scale that puts the largest magnitude on an end of the grid, and their distance. */
const starts = 9;
const distance = 0.1;

/** The scale with the least weighted error of `values - scale · grid`. 0 for a group of zeros. */
export function fitScale(group: Group, grid: Grid): number {
  const { values, from, count } = group;
  let peak = 0;
  for (let i = from; i < from + count; i++) {
    if (Math.abs(values[i] as number) > Math.abs(peak)) peak = values[i] as number;
  }
  if (!(Math.abs(peak) > tiniest)) return 0;
  const ends = [Math.min(...grid.numbers), Math.max(...grid.numbers)];
  const step = Math.max(...ends.map(Math.abs)) > 64 ? 1 : distance; // of tables of large numbers, one of them
  let best = { scale: 0, gain: 0 };
  for (const end of ends) {
    if (end === 0) continue;
    for (let s = -starts; s <= starts; s++) {
      const inverse = (end + Math.sign(end) * step * s) / peak;
      const found = leastSquares(group, grid, inverse);
      // Where one value outweighs all others several codes give it exactly: the largest, whose scale leaves the others most.
      const noise = 1e-6 * best.gain;
      const same = found.gain > best.gain - noise && Math.abs(found.scale) < Math.abs(best.scale);
      if (found.gain > best.gain + noise || same) best = found;
    }
  }
  return refine(best, (scale) => leastSquares(group, grid, 1 / scale)).scale;
}

/** Below this a group is zero: its scale would not be a number any more. */
const tiniest = 1e-30;

function refine(start: Fit, again: (scale: number) => Fit): Fit {
  let best = start;
  for (let i = 0; i < 4 && best.scale !== 0; i++) {
    const next = again(best.scale);
    if (!(next.gain > best.gain)) break;
    best = next;
  }
  return best;
}

interface Fit {
  readonly scale: number;
  /** By how much the weighted error is less than that of zeros. */
  readonly gain: number;
}

/** The best scale for the codes that an inverse scale gives. */
function leastSquares({ values, weights, from, count }: Group, grid: Grid, inverse: number): Fit {
  let cross = 0;
  let square = 0;
  for (let i = from; i < from + count; i++) {
    const value = values[i] as number;
    const number = grid.numbers[grid.nearest(value * inverse)] as number;
    const weighted = (weights[i] as number) * number;
    cross += weighted * value;
    square += weighted * number;
  }
  return square > 0 ? { scale: cross / square, gain: (cross * cross) / square } : { scale: 0, gain: 0 };
}

export interface AffineFit {
  readonly scale: number;
  /** What is subtracted, at least 0. */
  readonly minimum: number;
}

/** Scale and minimum with the least weighted error of `values - (scale q - minimum)`, for q of 0 … highest. */
export function fitAffine(group: Group, highest: number): AffineFit {
  const { values, from, count } = group;
  let low = 0;
  let high = Number.NEGATIVE_INFINITY;
  for (let i = from; i < from + count; i++) {
    low = Math.min(low, values[i] as number);
    high = Math.max(high, values[i] as number);
  }
  if (!(high - low > tiniest)) return { scale: 0, minimum: -low };
  let best = solve(group, highest, highest / (high - low), low);
  for (let s = -2 * starts; s <= 2 * starts; s++) {
    const found = solve(group, highest, (highest + distance * s) / (high - low), low);
    if (found.error < best.error) best = found;
  }
  for (let i = 0; i < 4 && best.scale > 0; i++) {
    const next = solve(group, highest, 1 / best.scale, -best.minimum);
    if (!(next.error < best.error)) break;
    best = next;
  }
  return best;
}

/** The best scale and minimum for the codes that an inverse scale and an offset give. */
function solve(
  { values, weights, from, count }: Group,
  highest: number,
  inverse: number,
  offset: number,
): AffineFit & { readonly error: number } {
  let [w, q, qq, x, xq, xx] = [0, 0, 0, 0, 0, 0];
  for (let i = from; i < from + count; i++) {
    const value = values[i] as number;
    const weight = weights[i] as number;
    const code = clamp(roundEven((value - offset) * inverse), 0, highest);
    w += weight;
    q += weight * code;
    qq += weight * code * code;
    x += weight * value;
    xq += weight * value * code;
    xx += weight * value * value;
  }
  const determinant = w * qq - q * q;
  let scale = determinant > 0 ? (w * xq - x * q) / determinant : 0;
  let low = determinant > 0 ? (qq * x - q * xq) / determinant : x / w;
  if (low > 0 || !(determinant > 0)) {
    low = Math.min(0, low);
    scale = qq > 0 ? (xq - low * q) / qq : 0;
  }
  const error = xx - 2 * scale * xq - 2 * low * x + scale * scale * qq + 2 * scale * low * q + low * low * w;
  return { scale, minimum: -low, error: scale >= 0 ? error : Number.POSITIVE_INFINITY };
}

/** The f16 nearest to a number, and its bits. Too large numbers become the largest. */
export function halfNear(value: number): { readonly bits: number; readonly value: number } {
  const bits = f32ToF16(clamp(value, -65504, 65504));
  return { bits, value: f16ToF32(bits) };
}
