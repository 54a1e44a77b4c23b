// Ops that work along the last axis, applied along another one.

import type { NDArray } from '../../array.ts';

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
