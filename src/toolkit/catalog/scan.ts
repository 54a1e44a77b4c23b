// Running results along an axis, and the recurrence, by doubling: log₂ n programs, errors grow with log n.

import type { NDArray } from '../../array/array.ts';
import { full } from '../../array/creation.ts';
import * as max from '../../array/ops/scan/cummax.ts';
import * as min from '../../array/ops/scan/cummin.ts';
import * as product from '../../array/ops/scan/cumprod.ts';
import * as sum from '../../array/ops/scan/cumsum.ts';
import * as logarithm from '../../array/ops/scan/logcumsumexp.ts';
import type { ScanOptions } from '../../array/ops/scan/scan.ts';
import { concat } from '../../array/ops/shape/concat.ts';
import { elementwise } from '../elementwise.ts';
import { sizes } from './common.ts';

/** @formula y[i] = Σ of x[0 … i]
 * @shapes `[…, D]` -> `[…, D]`, along an axis; from the end, and without the own element, by options
 * @gradient x
 * @source NumPy's cumsum */
export const cumsum = (x: NDArray, axis = -1, options: ScanOptions = {}): NDArray =>
  sum.cumsum(x, axis, options);
/** @formula y[i] = Π of x[0 … i]
 * @shapes `[…, D]` -> `[…, D]`, along an axis
 * @gradient x
 * @source NumPy's cumprod */
export const cumprod = (x: NDArray, axis = -1, options: ScanOptions = {}): NDArray =>
  product.cumprod(x, axis, options);
/** @formula y[i] = max of x[0 … i]
 * @shapes `[…, D]` -> `[…, D]`, along an axis
 * @gradient x
 * @source MLX's cummax */
export const cummax = (x: NDArray, axis = -1, options: ScanOptions = {}): NDArray =>
  max.cummax(x, axis, options);
/** @formula y[i] = min of x[0 … i]
 * @shapes `[…, D]` -> `[…, D]`, along an axis
 * @gradient x
 * @source MLX's cummin */
export const cummin = (x: NDArray, axis = -1, options: ScanOptions = {}): NDArray =>
  min.cummin(x, axis, options);
/** @formula y[i] = ln Σ e^x[0 … i], without overflow
 * @shapes `[…, D]` -> `[…, D]`, along an axis
 * @gradient x
 * @source MLX's logcumsumexp */
export const logCumSumExp = (x: NDArray, axis = -1, options: ScanOptions = {}): NDArray =>
  logarithm.logcumsumexp(x, axis, options);
/** The gradient of cumsum from its cotangent.
 * @formula Σ of g[i … D - 1]
 * @shapes `[…, D]` -> `[…, D]`, along an axis
 * @gradient g
 * @source NumPy's cumsum */
export const cumsumGradient = (g: NDArray, axis = -1): NDArray => sum.cumsum(g, axis, { reverse: true });

const joined = elementwise('{ a: a0 * a1, h: a1 * h0 + h1 }', {
  name: 'linearRecurrence',
  inputs: ['a0', 'h0', 'a1', 'h1'],
});
/** The recurrence of state-space models and gated linear attention, in parallel.
 * @formula h[t] = a[t] h[t - 1] + b[t], h[-1] = 0
 * @shapes a, b `[…, T, D]` -> `[…, T, D]`
 * @gradient a, b
 * @source https://www.cs.cmu.edu/~guyb/papers/Ble93.pdf */
export function linearRecurrence(a: NDArray, b: NDArray): NDArray {
  const at = a.shape.length - 2;
  const T = sizes(a, a.shape.length, 'linearRecurrence: a')[at] as number;
  const shifted = (x: NDArray, step: number, value: number): NDArray => {
    const fill = full(
      x.shape.map((d, i) => (i === at ? step : d)),
      value,
      x.dtype,
    );
    return concat(
      [fill, x.slice(...x.shape.map((_, i) => (i === at ? ([0, T - step] as const) : null)))],
      at,
    );
  };
  let [decay, h] = [a, b];
  for (let step = 1; step < T; step *= 2) {
    const next = joined(shifted(decay, step, 1), shifted(h, step, 0), decay, h) as Readonly<
      Record<'a' | 'h', NDArray>
    >;
    [decay, h] = [next.a, next.h];
  }
  return h;
}
