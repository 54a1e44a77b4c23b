// What the kernels of the catalog share.

import type { NDArray } from '../../array/array.ts';
import { IngotError } from '../../base/errors.ts';
import { formatShape } from '../../base/shape.ts';

/** `make` of a number, once for each. */
export function perNumber<T>(make: (x: number) => T): (x: number) => T {
  const known = new Map<number, T>();
  return (x) => {
    const made = known.get(x) ?? make(x);
    known.set(x, made);
    return made;
  };
}

/** Sizes of an array whose shape is known. Throws shape_mismatch for another number of axes. */
export function sizes(x: NDArray, rank: number, what: string): readonly number[] {
  if (x.shape.length !== rank || !x.shape.every((d) => typeof d === 'number')) {
    throw new IngotError(
      'shape_mismatch',
      `${what} has ${rank} axes of known size, got ${formatShape(x.shape)}`,
    );
  }
  return x.shape as readonly number[];
}

/** The size of the last axis. */
export function width(x: NDArray, what: string): number {
  const d = x.shape.at(-1);
  if (typeof d === 'number') return d;
  throw new IngotError(
    'shape_mismatch',
    `${what}: the last axis of ${formatShape(x.shape)} has no known size`,
  );
}

/** The two halves of the last axis. Throws shape_mismatch when it is odd. */
export function halves(x: NDArray, what: string): readonly [NDArray, NDArray] {
  const d = width(x, what);
  if (d % 2 !== 0)
    throw new IngotError('shape_mismatch', `${what}: the last axis of ${formatShape(x.shape)} is not even`);
  return [lastPart(x, 0, d / 2), lastPart(x, d / 2, d)];
}

/** Elements `from` to `to` of the last axis. */
export const lastPart = (x: NDArray, from: number, to: number): NDArray =>
  x.slice(...x.shape.slice(1).map(() => null), [from, to]);

/** Throws invalid_argument with the name and what it must be. */
export function require(holds: boolean, problem: string): asserts holds {
  if (!holds) throw new IngotError('invalid_argument', problem);
}
