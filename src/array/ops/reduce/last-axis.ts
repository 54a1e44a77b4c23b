// Ops that work along the last axis, applied along another one.

import { normalizeAxis } from '../../../base/shape.ts';
import type { NDArray } from '../../array.ts';
import { reduceAxes } from './reduce.ts';

/** `x` with `axis` moved to the end. */
export function axisLast(x: NDArray, axis: number): NDArray {
  const axes = x.shape.map((_, i) => i);
  return x.transpose([...axes.filter((a) => a !== axis), axis]);
}

/** `f` with `axis` moved to the end and back. */
export function alongLastAxis(x: NDArray, axis: number, f: (x: NDArray) => NDArray): NDArray {
  if (axis === x.shape.length - 1) return f(x);
  const axes = x.shape.map((_, i) => i);
  const order = [...axes.filter((a) => a !== axis), axis];
  return f(axisLast(x, axis)).transpose(axes.map((a) => order.indexOf(a)));
}

/** `f`, which works along the last axis, over one axis, or several or (null) all together. */
export function overLastAxis(
  x: NDArray,
  axis: number | readonly number[] | null,
  what: string,
  f: (x: NDArray) => NDArray,
): NDArray {
  const rank = x.shape.length;
  if (typeof axis === 'number') return alongLastAxis(x, normalizeAxis(axis, rank, what), f);
  const axes = reduceAxes(x, axis ?? undefined, what);
  const kept = x.shape.map((_, i) => i).filter((i) => !axes.includes(i));
  const order = [...kept, ...axes];
  const moved = x.transpose(order);
  const flat = moved.reshape([...moved.shape.slice(0, kept.length), axes.length === 0 ? 1 : -1]);
  return f(flat)
    .reshape(moved.shape)
    .transpose(x.shape.map((_, i) => order.indexOf(i)));
}
