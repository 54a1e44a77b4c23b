// Shapes whose dimensions may be known only when a plan runs. A dynamic dimension has a static capacity, so memory is
// planned once and one plan serves every length up to it.

import { IngotError } from './errors.ts';

/** A dimension read from the plan scalar `name` at run time; 0 <= value <= max. */
export interface DynDim {
  readonly name: string;
  readonly max: number;
}
export type Dim = number | DynDim;
export type Shape = readonly Dim[];

/** A count `mul x (dyn ?? 1)`: the element count of a shape with at most one dynamic dimension. */
export interface Count {
  readonly mul: number;
  readonly dyn?: DynDim;
}

export const capacity = (d: Dim): number => (typeof d === 'number' ? d : d.max);
export const isDynamic = (d: Dim): d is DynDim => typeof d !== 'number';
export const sameDim = (a: Dim, b: Dim): boolean =>
  a === b || (isDynamic(a) && isDynamic(b) && a.name === b.name && a.max === b.max);
export const sameShape = (a: Shape, b: Shape): boolean =>
  a.length === b.length && a.every((d, i) => sameDim(d, b[i] as Dim));
export const maxElements = (s: Shape): number => s.reduce<number>((n, d) => n * capacity(d), 1);
export const formatShape = (s: Shape): string =>
  `[${s.map((d) => (typeof d === 'object' ? `${d.name}<=${d.max}` : d)).join(', ')}]`;

/** Element count of a shape. */
export function elementCount(s: Shape): Count {
  const dyn = s.find(isDynamic);
  const mul = s.reduce<number>((n, d) => (isDynamic(d) ? n : n * d), 1);
  return dyn === undefined ? { mul } : { mul, dyn };
}

/** Row-major strides in elements; those left of the dynamic dimension scale with it. */
export const rowMajorStrides = (s: Shape): readonly Count[] => s.map((_, i) => elementCount(s.slice(i + 1)));

/** The count when the dynamic dimension has its value in `scalars`, or its capacity when no scalars are given. */
export function countValue(c: Count, scalars?: Readonly<Record<string, number>>): number {
  if (c.dyn === undefined) return c.mul;
  return c.mul * (scalars === undefined ? c.dyn.max : lookup(c.dyn, scalars));
}

/** The shape as numbers for one run. Throws invalid_argument when a scalar is missing or beyond its capacity. */
export const concreteShape = (s: Shape, scalars: Readonly<Record<string, number>>): readonly number[] =>
  s.map((d) => (isDynamic(d) ? lookup(d, scalars) : d));

/** A dimension whose length is the plan scalar `name`, at most `max`. Throws invalid_argument on a bad name or capacity. */
export function dynDim(name: string, max: number): DynDim {
  if (name === '') throw new IngotError('invalid_argument', 'a dynamic dimension needs a name');
  if (!Number.isSafeInteger(max) || max < 1) {
    throw new IngotError(
      'invalid_argument',
      `dynamic dimension ${name}: capacity ${max} must be a positive integer`,
    );
  }
  return { name, max };
}

/** Throws invalid_argument for what is no list: sizes one by one, as other libraries take them, or options in a shape's place. */
export function checkShapeList(s: unknown, what: string): void {
  if (Array.isArray(s)) return;
  const got = typeof s === 'object' && s !== null ? 'an object' : String(s);
  throw new IngotError(
    'invalid_argument',
    `${what}: a shape is a list of sizes, such as [2, 3], got ${got}`,
    { details: { argument: 'shape' } },
  );
}

/** Throws shape_mismatch unless every size is a non-negative integer and at most one dimension is dynamic. */
export function checkShape(s: Shape, what: string): void {
  checkShapeList(s, what);
  for (const d of s) {
    if (!Number.isSafeInteger(capacity(d)) || capacity(d) < 0) {
      throw new IngotError(
        'shape_mismatch',
        `${what}: shape ${formatShape(s)} has a size that is not a count of elements`,
      );
    }
  }
  if (s.filter(isDynamic).length > 1) {
    throw new IngotError(
      'shape_mismatch',
      `${what}: shape ${formatShape(s)} has more than one dynamic dimension; give all but one of them a fixed size`,
    );
  }
  if (!Number.isSafeInteger(maxElements(s))) {
    throw new IngotError('shape_mismatch', `${what}: shape ${formatShape(s)} has too many elements`);
  }
}

/** NumPy broadcasting: trailing dimensions align, a size of 1 stretches. Throws shape_mismatch naming both shapes. */
export function broadcastShapes(a: Shape, b: Shape, what: string): Shape {
  const rank = Math.max(a.length, b.length);
  return Array.from({ length: rank }, (_, i) => {
    const x = a[a.length - rank + i] ?? 1;
    const y = b[b.length - rank + i] ?? 1;
    if (sameDim(x, y) || y === 1) return x;
    if (x === 1) return y;
    throw new IngotError(
      'shape_mismatch',
      `${what}: shapes ${formatShape(a)} and ${formatShape(b)} do not broadcast (axis ${i - rank})`,
    );
  });
}

/** `axis` counted from the front; negative axes count from the end. Throws invalid_argument when outside the rank. */
export function normalizeAxis(axis: number, rank: number, what: string): number {
  const a = axis < 0 ? axis + rank : axis;
  if (!Number.isInteger(a) || a < 0 || a >= rank) {
    throw new IngotError('invalid_argument', `${what}: axis ${axis} is outside an array of rank ${rank}`);
  }
  return a;
}

function lookup(d: DynDim, scalars: Readonly<Record<string, number>>): number {
  const n = scalars[d.name];
  if (n === undefined || !Number.isInteger(n) || n < 0 || n > d.max) {
    throw new IngotError(
      'invalid_argument',
      `dimension ${d.name} is ${n}; it must be an integer from 0 to its capacity ${d.max}`,
      { details: { name: d.name, value: n, max: d.max } },
    );
  }
  return n;
}
