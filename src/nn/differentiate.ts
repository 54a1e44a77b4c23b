// Gradients of losses with respect to the parameters of a module.

import type { NDArray } from '../array/array.ts';
import { tidy } from '../array/lifetime.ts';
import { valueAndGrad as differentiated } from '../array/transform/grad.ts';
import { IngotError } from '../base/errors.ts';
import type { Module, Parameters } from './module.ts';

/** A loss of shape [], or a list that begins with one. */
type Loss = NDArray | readonly [NDArray, ...unknown[]];

/**
 * A function of the same arguments that gives the result of `fn` and the gradients of its loss, by path of the module's trainable
 * parameters. What layers replace while `fn` runs, such as running means, stays replaced.
 */
export const valueAndGrad =
  <A extends readonly unknown[], R extends Loss>(module: Module, fn: (...args: A) => R) =>
  (...args: A): [value: R, gradients: Parameters] =>
    tidy(() => {
      const { value, gradients, buffers } = lossAndGradients(module, module.trainableParameters(), () =>
        fn(...args),
      );
      module.update(buffers);
      return [value, gradients];
    });

/** The parts of a step: the result of `fn` with `parameters` in place, gradients of its loss, and the buffers that it replaced. */
export function lossAndGradients<R>(
  module: Module,
  parameters: Parameters,
  fn: () => R,
): { readonly value: R; readonly gradients: Parameters; readonly buffers: Parameters } {
  if (Object.keys(parameters).length === 0) {
    throw new IngotError(
      'invalid_argument',
      `valueAndGrad: ${module.constructor.name} has no trainable parameters; unfreeze() some`,
    );
  }
  const before = module.parameters();
  const run = (given: Parameters): readonly [NDArray, R, Parameters] =>
    module.withParameters(given, () => {
      const value = fn();
      const loss: unknown = Array.isArray(value) ? value[0] : value;
      const after = module.parameters();
      const changed = Object.keys(before).filter((path) => !(path in given) && after[path] !== before[path]);
      return [
        loss as NDArray,
        value,
        Object.fromEntries(changed.map((path) => [path, after[path] as NDArray])),
      ];
    });
  const [[, value, buffers], gradients] = differentiated(run)(parameters);
  return { value, gradients, buffers };
}
