// Schedules: a learning rate for each step, as a graph over the number of steps before it.

import type { NDArray } from '../../array/array.ts';
import { full } from '../../array/creation.ts';
import { where } from '../../array/ops/elementwise/where.ts';
import { IngotError } from '../../base/errors.ts';
import type { LearningRate, Schedule } from './transform.ts';

const within = (step: NDArray, steps: number): NDArray =>
  step
    .cast('f32')
    .mul(1 / steps)
    .maximum(0)
    .minimum(1);

function stepsOf(steps: number, what: string): number {
  if (Number.isInteger(steps) && steps > 0) return steps;
  throw new IngotError('invalid_argument', `${what}: ${steps} steps; a whole number above 0 is needed`);
}

/** A constant or a schedule as a schedule. */
export const scheduleOf = (rate: LearningRate): Schedule =>
  typeof rate === 'number' ? () => full([], rate, 'f32') : rate;

export const constantSchedule = (value: number): Schedule => scheduleOf(value);

/** From `begin` to `end` in a straight line over `steps`, then `end`. */
export function linearSchedule(begin: number, end: number, steps: number): Schedule {
  stepsOf(steps, 'linearSchedule');
  return (step) =>
    within(step, steps)
      .mul(end - begin)
      .add(begin);
}

/** begin decayRate^step. */
export const exponentialDecay =
  (begin: number, decayRate: number): Schedule =>
  (step) =>
    step.cast('f32').mul(Math.log(decayRate)).exp().mul(begin);

/** begin decayRate^floor(step / stepSize). */
export function stepDecay(begin: number, decayRate: number, stepSize: number): Schedule {
  stepsOf(stepSize, 'stepDecay');
  return (step) => step.floorDivide(stepSize).cast('f32').mul(Math.log(decayRate)).exp().mul(begin);
}

/** Half a cosine from `begin` to `end` over `steps`, then `end` (https://arxiv.org/abs/1608.03983). */
export function cosineDecay(begin: number, steps: number, end = 0): Schedule {
  stepsOf(steps, 'cosineDecay');
  return (step) =>
    within(step, steps)
      .mul(Math.PI)
      .cos()
      .add(1)
      .mul((begin - end) / 2)
      .add(end);
}

/** end + (begin - end) (1 - step / steps)^power. */
export function polynomialDecay(begin: number, end: number, steps: number, power = 1): Schedule {
  stepsOf(steps, 'polynomialDecay');
  return (step) =>
    within(step, steps)
      .neg()
      .add(1)
      .pow(power)
      .mul(begin - end)
      .add(end);
}

/** begin sqrt(warmup / max(step, warmup)), with a straight line up to it. */
export function inverseSquareRoot(peak: number, warmup: number): Schedule {
  stepsOf(warmup, 'inverseSquareRoot');
  return (step) => {
    const t = step.cast('f32').add(1);
    return t
      .mul(1 / warmup)
      .minimum(t.mul(1 / warmup).rsqrt())
      .mul(peak);
  };
}

/** Schedules one after the other: number i ends before `boundaries[i]`, and counts its own steps from 0. */
export function joinSchedules(schedules: readonly LearningRate[], boundaries: readonly number[]): Schedule {
  if (schedules.length === 0 || boundaries.length !== schedules.length - 1) {
    throw new IngotError(
      'invalid_argument',
      `joinSchedules: ${schedules.length} schedules need ${Math.max(0, schedules.length - 1)} boundaries, got ${boundaries.length}`,
    );
  }
  return (step) => {
    const [first, ...rest] = schedules.map(scheduleOf) as [Schedule, ...Schedule[]];
    return rest.reduce((rate, schedule, i) => {
      const from = boundaries[i] as number;
      return where(step.lt(from), rate, schedule(step.sub(from)));
    }, first(step));
  };
}

export interface WarmupCosineOptions {
  readonly peak: number;
  /** Steps of the straight line from `begin` (default 0) to the peak. */
  readonly warmup: number;
  /** Steps of the cosine that follows. */
  readonly steps: number;
  readonly begin?: number;
  /** Default 0. */
  readonly end?: number;
}

/** A straight line up to a peak, and half a cosine down from there. */
export const warmupCosine = ({ peak, warmup, steps, begin = 0, end = 0 }: WarmupCosineOptions): Schedule =>
  warmup === 0
    ? cosineDecay(peak, steps, end)
    : joinSchedules([linearSchedule(begin, peak, warmup), cosineDecay(peak, steps, end)], [warmup]);

/** A rate that drops to values[i] at boundaries[i]. */
export function piecewiseConstant(
  begin: number,
  values: readonly number[],
  boundaries: readonly number[],
): Schedule {
  return joinSchedules([begin, ...values], boundaries);
}
