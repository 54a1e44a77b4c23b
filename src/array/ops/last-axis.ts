// Ops that work along the last axis, applied along another one.

import type { NDArray } from '../array.ts';

/** `f` with `axis` moved to the end and back. */
export function alongLastAxis(x: NDArray, axis: number, f: (x: NDArray) => NDArray): NDArray {
  const last = x.shape.length - 1;
  if (axis === last) return f(x);
  const axes = x.shape.map((_, i) => i);
  const order = [...axes.filter((a) => a !== axis), axis];
  const inverse = axes.map((a) => order.indexOf(a));
  return f(x.transpose(order)).transpose(inverse);
}
