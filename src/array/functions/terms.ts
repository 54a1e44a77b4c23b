// What the functions here share: operands that may be numbers, and results that know their derivative.

import { isFloat } from '../../base/dtype.ts';
import { IngotError } from '../../base/errors.ts';
import { normalizeAxis } from '../../base/shape.ts';
import type { NDArray } from '../array.ts';
import { full } from '../creation.ts';
import { floating, someArray, type Term } from '../ops/elementwise/elementwise.ts';
import { withGradient } from '../ops/memory/identity.ts';
import { fixed } from '../ops/operands.ts';

/** A term as an array: numbers and truth values get shape []. */
export function toArray(x: Term): NDArray {
  if (typeof x === 'number' || typeof x === 'boolean') return full([], x);
  return someArray([x], 'an operand');
}

/** A term as an array of floats. */
export function toFloats(x: Term): NDArray {
  const a = toArray(x);
  return isFloat(a.dtype) ? a : a.cast('f32');
}

/** Two terms as arrays of the float dtype in which they meet; a number takes that of the array beside it. */
export function floatPair(a: Term, b: Term): readonly [NDArray, NDArray] {
  const dtype = floating(a, b);
  return [toArray(a).cast(dtype), toArray(b).cast(dtype)];
}

/** A term as an array of integers or truth values. Throws invalid_argument for floats. */
export function integers(x: Term, what: string): NDArray {
  const a = typeof x === 'number' && Number.isInteger(x) ? full([], x, 'i32') : toArray(x);
  if (!isFloat(a.dtype)) return a;
  throw new IngotError('invalid_argument', `${what}: integers are needed, got ${a.dtype}`);
}

/** `y`, a function of `x`, with its derivative, where that of the way y is computed would be worse. */
export const differentiated = (
  y: NDArray,
  x: NDArray,
  derivative: (x: NDArray, y: NDArray) => NDArray,
): NDArray =>
  withGradient([y], [x], ([p], [g], [r]) => [
    (g as NDArray).mul(derivative(p as NDArray, r as NDArray)),
  ])[0] as NDArray;

/** c[0] x^n + … + c[n], by Horner's rule, n at least 1. */
export const polynomial = (x: NDArray, [first = 0, ...rest]: readonly number[]): NDArray =>
  rest.slice(1).reduce<NDArray>((sum, c) => sum.mul(x).add(c), x.mul(first).add(rest[0] ?? 0));

/** Size of an axis that is known when the graph is made, and the axis from the front. */
export function axisOf(x: NDArray, axis: number, what: string): readonly [at: number, size: number] {
  const at = normalizeAxis(axis, x.shape.length, what);
  return [at, fixed(x.shape[at], what)];
}

/** Ranges that are whole but for one axis. */
export const alongAxis = (
  x: NDArray,
  axis: number,
  range: readonly [start: number, stop: number, step?: number],
): NDArray => x.slice(...x.shape.map((_, i) => (i === axis ? range : null)));

/** `f` over one axis, or over the elements in their order when no axis is given. */
export const overAxis = (
  x: NDArray,
  axis: number | null | undefined,
  f: (x: NDArray, axis: number) => NDArray,
): NDArray => (axis == null ? f(x.reshape([-1]), 0) : f(x, axis));
