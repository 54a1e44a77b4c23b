// customFunction and checkpoint: functions that say themselves how they are differentiated.

import { IngotError } from '../../base/errors.ts';
import { NDArray } from '../array.ts';
import { barrier, withGradient } from '../ops/memory/identity.ts';
import { backward } from './backward.ts';

type Results = NDArray | readonly NDArray[];
type Fn = (...args: NDArray[]) => Results;

/** Gradients of the arguments; null for those without one. */
export type CustomVjp = (
  primals: readonly NDArray[],
  cotangents: readonly NDArray[],
  outputs: readonly NDArray[],
) => NDArray | readonly (NDArray | null)[];

/** `fn` with the gradient that `rule` gives. Arrays that it closes over have none. */
export function customFunction<F extends Fn>(fn: F, rule: CustomVjp): F {
  if (typeof rule !== 'function') {
    throw new IngotError(
      'invalid_argument',
      `customFunction: rule must be a function (primals, cotangents, outputs) => gradients, got ${typeof rule}`,
      { details: { argument: 'rule' } },
    );
  }
  const wrapped = (...args: NDArray[]): Results => {
    const result = fn(...args);
    const outputs = result instanceof NDArray ? [result] : result;
    const linked = withGradient(outputs, args, (primals, cotangents, results) => {
      const grads = rule(primals, cotangents, results);
      if (grads instanceof NDArray) return [grads];
      if (Array.isArray(grads)) return grads;
      throw new IngotError(
        'invalid_argument',
        `customFunction: the rule (primals, cotangents, outputs) must return an array, or a list of arrays and nulls, got ${typeof grads}`,
      );
    });
    return result instanceof NDArray ? (linked[0] as NDArray) : linked;
  };
  return wrapped as F;
}

/** `fn`, whose intermediate results are computed again for the gradient instead of kept for it. */
export const checkpoint = <F extends Fn>(fn: F): F =>
  customFunction(fn, (primals, cotangents) => {
    const again = primals.map(barrier); // equal computations would be shared with those of the forward pass
    const result = fn(...again);
    return backward(result instanceof NDArray ? [result] : result, cotangents, again);
  });
