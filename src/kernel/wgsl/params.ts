// Arithmetic on dispatch params, which are numbers or multiples of a plan scalar.

import type { Param } from '../signature.ts';

/** True when the param is a multiple of k in every run. */
export const isMultiple = (p: Param, k: number): boolean =>
  typeof p === 'number' ? p % k === 0 : p.mul % k === 0 && p.add % k === 0;

/** p / k, for a multiple of k. */
export const divided = (p: Param, k: number): Param =>
  typeof p === 'number' ? p / k : { scalar: p.scalar, mul: p.mul / k, add: p.add / k };

/** a * b, or undefined when both vary. */
export function product(a: Param, b: Param): Param | undefined {
  if (typeof a === 'number') return typeof b === 'number' ? a * b : product(b, a);
  if (typeof b !== 'number') return undefined;
  return b === 0 ? 0 : { scalar: a.scalar, mul: a.mul * b, add: a.add * b };
}

export const sameParam = (a: Param | undefined, b: Param | undefined): boolean =>
  a === b ||
  (typeof a === 'object' &&
    typeof b === 'object' &&
    a.scalar === b.scalar &&
    a.mul === b.mul &&
    a.add === b.add);
