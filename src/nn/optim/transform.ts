// Gradient transforms, which optimisers are made of: pure functions from gradients and a state to updates and the next state. They
// build graphs, so that a step of training compiles with its optimiser in it.

import type { NDArray } from '../../array/array.ts';
import { full } from '../../array/creation.ts';
import { IngotError } from '../../base/errors.ts';
import type { Parameters } from '../module.ts';

/** What a transform keeps between steps: arrays, by names and in lists. */
export type TransformState =
  | Parameters
  | { readonly [name: string]: TransformState | NDArray }
  | readonly TransformState[];

export interface TransformResult<S extends TransformState = TransformState> {
  /** Added to the parameters by applyUpdates, or given to the next transform. */
  readonly updates: Parameters;
  readonly state: S;
}

export interface GradientTransform<S extends TransformState = TransformState> {
  /** The state before the first step. */
  init(parameters: Parameters): S;
  /** One step. Gradients have the paths and shapes of the parameters. */
  update(gradients: Parameters, state: S, parameters: Parameters): TransformResult<S>;
}

/** A number for each step, from the number of steps before it (an i32 of shape []). */
export type Schedule = (step: NDArray) => NDArray;
export type LearningRate = number | Schedule;

/** `f` of arrays that have the same path. Throws invalid_argument for a path that one of them lacks. */
export function zip(
  first: Parameters,
  others: readonly Parameters[],
  f: (x: NDArray, ...more: NDArray[]) => NDArray,
): Parameters {
  return Object.fromEntries(
    Object.entries(first).map(([path, x]) => {
      const more = others.map((o) => {
        const y = o[path];
        if (y !== undefined) return y;
        throw new IngotError(
          'invalid_argument',
          `optimiser: ${path} has a gradient, and no parameter or state`,
        );
      });
      return [path, f(x, ...more)];
    }),
  );
}

/** Arrays of zeros in f32, as moments of the parameters begin. */
export const zerosLike = (parameters: Parameters): Parameters =>
  zip(parameters, [], (x) => full(x.shape, 0, 'f32'));

/** The number of steps before the first one. */
export const firstCount = (): NDArray => full([], 0, 'i32');

/** A learning rate at a step. */
export const rateAt = (rate: LearningRate, count: NDArray): NDArray | number =>
  typeof rate === 'number' ? rate : rate(count);

/** Parameters with updates added, in the dtype of the parameters. Those without an update stay. */
export const applyUpdates = (parameters: Parameters, updates: Parameters): Parameters =>
  Object.fromEntries(
    Object.entries(parameters).map(([path, x]) => {
      const u = updates[path];
      return [path, u === undefined ? x : x.add(u).cast(x.dtype)];
    }),
  );

/** Transforms one after the other. */
export function chain(
  ...transforms: readonly GradientTransform[]
): GradientTransform<readonly TransformState[]> {
  return {
    init: (parameters) => transforms.map((t) => t.init(parameters)),
    update(gradients, states, parameters) {
      let updates = gradients;
      const next = transforms.map((t, i) => {
        const result = t.update(updates, states[i] as TransformState, parameters);
        updates = result.updates;
        return result.state;
      });
      return { updates, state: next };
    },
  };
}

/** A transform without a state, of each gradient and its parameter. */
export const stateless = (
  f: (gradients: Parameters, parameters: Parameters) => Parameters,
): GradientTransform<Parameters> => ({
  init: () => ({}),
  update: (gradients, state, parameters) => ({ updates: f(gradients, parameters), state }),
});

/**
 * Different transforms for different parameters: `label` names the transform of a path. Throws not_found for a name that there is not.
 */
export function partition(
  transforms: Readonly<Record<string, GradientTransform>>,
  label: (path: string, parameter: NDArray) => string,
): GradientTransform<Readonly<Record<string, TransformState>>> {
  const groups = (from: Parameters, parameters: Parameters): Readonly<Record<string, Parameters>> => {
    const parts: Record<string, Record<string, NDArray>> = Object.fromEntries(
      Object.keys(transforms).map((n) => [n, {}]),
    );
    for (const [path, x] of Object.entries(from)) {
      const name = label(path, parameters[path] ?? x);
      const part = parts[name];
      if (part === undefined) {
        throw new IngotError(
          'not_found',
          `partition: ${path} is for '${name}', there are ${Object.keys(transforms).join(', ')}`,
        );
      }
      part[path] = x;
    }
    return parts;
  };
  const each = Object.entries(transforms);
  return {
    init(parameters) {
      const parts = groups(parameters, parameters);
      return Object.fromEntries(each.map(([name, t]) => [name, t.init(parts[name] ?? {})]));
    },
    update(gradients, state, parameters) {
      const [grads, owners] = [groups(gradients, parameters), groups(parameters, parameters)];
      const results = each.map(([name, t]) => {
        const before = state[name] as TransformState;
        return [name, t.update(grads[name] ?? {}, before, owners[name] ?? {})] as const;
      });
      return {
        updates: Object.assign({}, ...results.map(([, r]) => r.updates)) as Parameters,
        state: Object.fromEntries(results.map(([name, r]) => [name, r.state])),
      };
    },
  };
}
