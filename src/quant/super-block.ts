// Super-blocks of 256 columns whose groups have whole steps of one scale (and minimum): the K-quants and IQ4_XS. Finds the steps
// and codes with the least weighted error, for every layout that has steps. native/kernels/quantize_search.h is the same for the
// K-quants, bit for bit: sums are taken in the same order.

import { clamp } from './format.ts';
import { roundEven } from './half.ts';
import { metaPlaces, quantizedSpec, type WeightLayout } from './layout.ts';
import {
  fitAffine,
  fitScale,
  type Grid,
  type Group,
  halfNear,
  linearGrid,
  tableGrid,
  type Weighting,
  weigh,
} from './search.ts';

const columns = 256;

/** What a super-block is stored as. */
export interface SuperBlock {
  /** Bits of the f16 that steps are multiples of. */
  readonly d: number;
  readonly dmin: number;
  readonly steps: readonly number[];
  readonly minimums: readonly number[];
  readonly codes: Uint8Array;
}

export interface StepRange {
  readonly low: number;
  readonly high: number;
}

/** Quantises 256 values from `column`; steps are whole numbers of `range`, steps of minimums 0 to its end. */
export type SuperQuantizer = (values: Float32Array, column: number) => SuperBlock;

export function superQuantizer(layout: WeightLayout, range: StepRange, weighting: Weighting): SuperQuantizer {
  const spec = quantizedSpec(layout.kind);
  const affine = metaPlaces(layout).minimum !== undefined;
  const bits = spec?.bits ?? 8;
  const grid = spec?.table === undefined ? linearGrid(bits, spec?.zero ?? 0) : tableGrid(spec.table);
  const unit = spec?.unit ?? 1;
  const weights = new Float64Array(columns);
  const scaled = new Float32Array(columns);
  return (values, column) => {
    for (let i = 0; i < columns; i++) scaled[i] = (values[column + i] as number) / unit;
    const groups: Group[] = [];
    for (let from = 0; from < columns; from += layout.group) {
      weigh(weighting, scaled, from, layout.group, weights);
      groups.push({ values: scaled, weights, from, count: layout.group });
    }
    return affine ? affineBlock(groups, grid, range) : plainBlock(groups, grid, range);
  };
}

/** Chosen units, and for each group its steps: what can be improved in turn. */
interface Choice {
  readonly d: { readonly bits: number; readonly value: number };
  readonly dmin: { readonly bits: number; readonly value: number };
  readonly steps: readonly number[];
  readonly minimums: readonly number[];
  readonly error: number;
}

function plainBlock(groups: readonly Group[], grid: Grid, { low, high }: StepRange): SuperBlock {
  const scales = groups.map((group) => fitScale(group, grid));
  const peak = scales.reduce((a, b) => (Math.abs(b) > Math.abs(a) ? b : a), 0);
  const choose = (unit: number): Choice => {
    const d = halfNear(unit);
    const found = groups.map((group, g) =>
      best(stepsNear((scales[g] as number) / d.value, low, high), (step) =>
        codeError(group, grid, d.value * step, 0),
      ),
    );
    return {
      d,
      dmin: halfNear(0),
      steps: found.map(({ step }) => step),
      minimums: [],
      error: found.reduce((sum, { error }) => sum + error, 0),
    };
  };
  // The largest scale is the end of the steps with more room: -32 of -32 … 31.
  let choice = choose(peak / (-low > high ? low : high));
  for (let i = 0; i < 3; i++) {
    const next = choose(betterUnit(groups, grid, choice));
    if (!(next.error < choice.error)) break;
    choice = next;
  }
  return finish(groups, grid, choice);
}

function affineBlock(groups: readonly Group[], grid: Grid, { high }: StepRange): SuperBlock {
  const fits = groups.map((group) => fitAffine(group, grid.numbers.length - 1));
  const choose = (unit: number, minimumUnit: number): Choice => {
    const [d, dmin] = [halfNear(unit), halfNear(minimumUnit)];
    const found = groups.map((group, g) => {
      const fit = fits[g] as (typeof fits)[number];
      const mins = stepsNear(fit.minimum / dmin.value, 0, high);
      const each = mins.map((minimum) => ({
        minimum,
        ...best(stepsNear(fit.scale / d.value, 0, high), (step) =>
          codeError(group, grid, d.value * step, dmin.value * minimum),
        ),
      }));
      return each.reduce((a, b) => (b.error < a.error ? b : a));
    });
    return {
      d,
      dmin,
      steps: found.map(({ step }) => step),
      minimums: found.map(({ minimum }) => minimum),
      error: found.reduce((sum, { error }) => sum + error, 0),
    };
  };
  const most = (list: readonly number[]): number => list.reduce((a, b) => Math.max(a, b), 0);
  const peak = most(fits.map((f) => f.scale));
  const minimumUnit = most(fits.map((f) => f.minimum)) / high;
  const improved = (end: number): Choice => {
    let choice = choose(peak / end, minimumUnit);
    for (let i = 0; i < 3; i++) {
      const units = betterUnits(groups, grid, choice);
      const next = choose(units.d, units.dmin);
      if (!(next.error < choice.error)) break;
      choice = next;
    }
    return choice;
  };
  // The largest scale is the last step, or one or two below it, which is better where that scale is no better than others.
  const choices = [improved(high), improved(high - 1), improved(high - 2)];
  return finish(
    groups,
    grid,
    choices.reduce((a, b) => (b.error < a.error ? b : a)),
  );
}

/** Whole numbers next to `value` within [low, high]; 0 where there is no unit. */
function stepsNear(value: number, low: number, high: number): readonly number[] {
  if (!Number.isFinite(value)) return [0];
  const middle = clamp(roundEven(value), low, high);
  return [middle, middle - 1, middle + 1].filter((step) => step >= low && step <= high);
}

function best(
  steps: readonly number[],
  errorOf: (step: number) => number,
): { readonly step: number; readonly error: number } {
  return steps.map((step) => ({ step, error: errorOf(step) })).reduce((a, b) => (b.error < a.error ? b : a));
}

/** Weighted error of a group on the grid with this scale and minimum. */
function codeError(
  { values, weights, from, count }: Group,
  grid: Grid,
  scale: number,
  minimum: number,
): number {
  const inverse = scale === 0 ? 0 : 1 / scale;
  let error = 0;
  for (let i = from; i < from + count; i++) {
    const value = values[i] as number;
    const number = grid.numbers[grid.nearest((value + minimum) * inverse)] as number;
    const off = value - (scale * number - minimum);
    error += (weights[i] as number) * off * off;
  }
  return error;
}

/** The unit of the steps that is best for the codes of a choice. */
function betterUnit(groups: readonly Group[], grid: Grid, choice: Choice): number {
  return betterUnits(groups, grid, choice).d;
}

/** Both units by least squares over the whole block. */
function betterUnits(groups: readonly Group[], grid: Grid, choice: Choice): { d: number; dmin: number } {
  let [aa, ab, bb, ax, bx] = [0, 0, 0, 0, 0];
  groups.forEach(({ values, weights, from, count }, g) => {
    const step = choice.steps[g] as number;
    const minimum = choice.minimums[g] ?? 0;
    const scale = choice.d.value * step;
    const offset = choice.dmin.value * minimum;
    const inverse = scale === 0 ? 0 : 1 / scale;
    let [saa, sa, sw, sax, sx] = [0, 0, 0, 0, 0];
    for (let i = from; i < from + count; i++) {
      const value = values[i] as number;
      const weight = weights[i] as number;
      const a = step * (grid.numbers[grid.nearest((value + offset) * inverse)] as number);
      const wa = weight * a;
      saa += wa * a;
      sa += wa;
      sw += weight;
      sax += wa * value;
      sx += weight * value;
    }
    aa += saa;
    ab -= sa * minimum;
    bb += sw * minimum * minimum;
    ax += sax;
    bx -= sx * minimum;
  });
  const determinant = aa * bb - ab * ab;
  if (bb === 0 || !(determinant > 0)) return { d: aa > 0 ? ax / aa : 0, dmin: choice.dmin.value };
  return { d: (ax * bb - bx * ab) / determinant, dmin: Math.max(0, (bx * aa - ax * ab) / determinant) };
}

function finish(groups: readonly Group[], grid: Grid, { d, dmin, steps, minimums }: Choice): SuperBlock {
  const codes = new Uint8Array(columns);
  groups.forEach(({ values, from, count }, g) => {
    const scale = d.value * (steps[g] as number);
    const minimum = dmin.value * (minimums[g] ?? 0);
    const inverse = scale === 0 ? 0 : 1 / scale;
    for (let i = from; i < from + count; i++) {
      codes[i] = grid.nearest(((values[i] as number) + minimum) * inverse);
    }
  });
  return { d: d.bits, dmin: dmin.bits, steps, minimums, codes };
}
