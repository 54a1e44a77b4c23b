// The frame of optimisers whose parameters do not know of each other: a count of steps, and named moments for each parameter.

import { knownOptions } from '../../array/arguments.ts';
import type { NDArray } from '../../array/array.ts';
import { IngotError } from '../../base/errors.ts';
import type { Parameters } from '../module.ts';
import {
  firstCount,
  type GradientTransform,
  type LearningRate,
  rateAt,
  type TransformState,
  zerosLike,
} from './transform.ts';

export interface OptimizerOptions {
  /** A number, or a schedule. */
  readonly learningRate: LearningRate;
  /** Default 0, a penalty on squares: its gradient is added. AdamW and Lion take it off the parameter instead. */
  readonly weightDecay?: number;
}

/** What an optimiser makes of one gradient, in f32. */
export interface RuleCall<M extends string> {
  readonly g: NDArray;
  readonly p: NDArray;
  readonly moments: Readonly<Record<M, NDArray>>;
  /** 1 at the first step. */
  readonly t: NDArray;
}

export interface Recipe<M extends string> {
  /** Options as they were given, and the names they may have beside learningRate and weightDecay. */
  readonly options: OptimizerOptions;
  readonly names: readonly string[];
  readonly moments: readonly M[];
  /** The update before it is multiplied by minus the learning rate, and the moments of the next step. */
  rule(call: RuleCall<M>): { readonly update: NDArray; readonly moments: Readonly<Record<M, NDArray>> };
}

/** Throws invalid_argument for what is no learning rate. */
export function checkRate(learningRate: unknown): void {
  if (typeof learningRate === 'number' ? learningRate >= 0 : typeof learningRate === 'function') return;
  throw new IngotError(
    'invalid_argument',
    `learningRate is ${learningRate}; it must be 0 or more, or a schedule, in the options: { learningRate: 1e-3 }`,
    { details: { argument: 'learningRate' } },
  );
}

export function elementwise<M extends string>(recipe: Recipe<M>): GradientTransform {
  const { options, names, moments, rule } = recipe;
  const { learningRate } = options;
  checkRate(learningRate);
  knownOptions('optimiser', options, ['learningRate', 'weightDecay', ...names]);
  return {
    init: (parameters) => ({
      count: firstCount(),
      ...Object.fromEntries(moments.map((m) => [m, zerosLike(parameters)])),
    }),
    update(gradients, state, parameters) {
      const before = state as { readonly count: NDArray } & Readonly<Record<M, Parameters>>;
      const count = before.count.add(1);
      const t = count.cast('f32');
      const rate = rateAt(learningRate, before.count);
      const updates: Record<string, NDArray> = {};
      const next: Record<string, Record<string, NDArray>> = Object.fromEntries(
        moments.map((m) => [m, { ...before[m] }]),
      );
      for (const [path, gradient] of Object.entries(gradients)) {
        const p = parameters[path];
        const own = Object.fromEntries(moments.map((m) => [m, before[m][path]])) as Record<M, NDArray>;
        if (p === undefined || Object.values(own).includes(undefined)) {
          throw new IngotError(
            'invalid_argument',
            `optimiser: ${path} has a gradient, and no parameter or state`,
          );
        }
        const result = rule({ g: gradient.cast('f32'), p: p.cast('f32'), moments: own, t });
        for (const m of moments) (next[m] as Record<string, NDArray>)[path] = result.moments[m];
        updates[path] = result.update.mul(rate).neg();
      }
      return { updates, state: { count, ...next } as TransformState };
    },
  };
}
