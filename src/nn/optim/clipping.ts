// Gradients held within bounds, and other small transforms to put before an optimiser.

import type { NDArray } from '../../array/array.ts';
import { full } from '../../array/creation.ts';
import { IngotError } from '../../base/errors.ts';
import type { Parameters } from '../module.ts';
import { firstCount, type GradientTransform, rateAt, type Schedule, stateless, zip } from './transform.ts';

/** Square root of the sum of the squares of all elements of all arrays, in f32: shape []. */
export function globalNorm(tree: Parameters): NDArray {
  const squares = Object.values(tree).map((g) => g.cast('f32').square().sum());
  return squares.reduce((a, b) => a.add(b), full([], 0, 'f32')).sqrt();
}

const above0 = (x: number, what: string): number => {
  if (x > 0) return x;
  throw new IngotError('invalid_argument', `${what} is ${x}; it must be above 0`);
};

/** All gradients times one number, so that the norm of all of them together is at most `maxNorm`. */
export function clipByGlobalNorm(maxNorm: number): GradientTransform<Parameters> {
  above0(maxNorm, 'clipByGlobalNorm: maxNorm');
  return stateless((gradients) => clipGradNorm(gradients, maxNorm)[0]);
}

/** Gradients of a norm of at most `maxNorm`, and the norm before. */
export function clipGradNorm(
  gradients: Parameters,
  maxNorm: number,
): readonly [clipped: Parameters, norm: NDArray] {
  const norm = globalNorm(gradients);
  const factor = norm.add(1e-6).reciprocal().mul(maxNorm).minimum(1);
  return [zip(gradients, [], (g) => g.mul(factor).cast(g.dtype)), norm];
}

/** Each array to a norm of at most `maxNorm`. */
export function clipByNorm(maxNorm: number): GradientTransform<Parameters> {
  above0(maxNorm, 'clipByNorm: maxNorm');
  return stateless((gradients) =>
    zip(gradients, [], (g) =>
      g.mul(g.cast('f32').square().sum().sqrt().add(1e-6).reciprocal().mul(maxNorm).minimum(1)).cast(g.dtype),
    ),
  );
}

/** Each element to -limit … limit. */
export function clipByValue(limit: number): GradientTransform<Parameters> {
  above0(limit, 'clipByValue: limit');
  return stateless((gradients) => zip(gradients, [], (g) => g.maximum(-limit).minimum(limit)));
}

/** Gradients times a number, or times one that changes with the steps. */
export function scale(factor: number): GradientTransform<Parameters> {
  return stateless((gradients) => zip(gradients, [], (g) => g.mul(factor)));
}

/** Gradients times a number for each step. */
export function scaleBySchedule(schedule: Schedule): GradientTransform {
  return {
    init: () => ({ count: firstCount() }),
    update: (gradients, state) => {
      const { count } = state as { count: NDArray };
      const factor = rateAt(schedule, count);
      return { updates: zip(gradients, [], (g) => g.mul(factor)), state: { count: count.add(1) } };
    },
  };
}

/** Parameters times `rate` added to gradients: a penalty of rate / 2 on their squares. */
export const addDecayedWeights = (rate: number): GradientTransform<Parameters> =>
  stateless((gradients, parameters) => zip(gradients, [parameters], (g, p) => g.add(p.mul(rate))));
