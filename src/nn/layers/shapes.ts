// Checks of what layers are given: they name the layer, the shape and the number that was expected.

import type { NDArray } from '../../array/array.ts';
import { IngotError } from '../../base/errors.ts';
import { type Dim, formatShape } from '../../base/shape.ts';

/** The last axis of x has this size. */
export function expectWidth(x: NDArray, width: Dim | undefined, layer: string): void {
  const last = x.shape.at(-1);
  if (last === width && last !== undefined) return;
  throw new IngotError(
    'shape_mismatch',
    `${layer}: the last axis of x must have ${width} elements, got x ${formatShape(x.shape)}`,
  );
}

/** x has this many axes at least. */
export function expectRank(x: NDArray, axes: number, layer: string, form: string): void {
  if (x.shape.length >= axes) return;
  throw new IngotError('shape_mismatch', `${layer}: x must be ${form}, got ${formatShape(x.shape)}`);
}

/** A whole number above zero, for the sizes of a layer. */
export function positive(value: number, what: string): number {
  if (Number.isInteger(value) && value > 0) return value;
  throw new IngotError('invalid_argument', `${what} is ${value}; it must be a whole number above 0`);
}

/** `parts` divides `whole`. */
export function divides(parts: number, whole: number, what: string): void {
  positive(parts, what);
  if (whole % parts === 0) return;
  throw new IngotError('invalid_argument', `${what}: ${whole} does not divide into ${parts} equal parts`);
}
