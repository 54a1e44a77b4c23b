// Reductions over one axis (default the last). Floats accumulate in f32, in a tree.

import type { NDArray } from '../../array/array.ts';
import { logSumExp as logSumExpOf } from '../../array/derived.ts';
import { topk as topkOf } from '../../array/ops/indexing/topk.ts';
import { mapReduce, reduce } from '../reduce.ts';
import { perNumber } from './common.ts';

/** @formula Σ x
 * @shapes `[…, D]` -> `[…]`, over an axis
 * @gradient x
 * @source NumPy's sum */
export const sum = (x: NDArray, axis = -1): NDArray => x.sum(axis);
/** @formula Σ x / D
 * @shapes `[…, D]` -> `[…]`, over an axis
 * @gradient x
 * @source NumPy's mean */
export const mean = (x: NDArray, axis = -1): NDArray => x.mean(axis);
/** @formula the largest; NaN wins
 * @shapes `[…, D]` -> `[…]`, over an axis
 * @gradient x, shared at ties
 * @source NumPy's max */
export const max = (x: NDArray, axis = -1): NDArray => x.max(axis);
/** @formula the smallest; NaN wins
 * @shapes `[…, D]` -> `[…]`, over an axis
 * @gradient x, shared at ties
 * @source NumPy's min */
export const min = (x: NDArray, axis = -1): NDArray => x.min(axis);
/** @formula Π x
 * @shapes `[…, D]` -> `[…]`, over an axis
 * @gradient x
 * @source NumPy's prod */
export const prod = (x: NDArray, axis = -1): NDArray => x.prod(axis);
/** @formula place of the largest, the first of equals
 * @shapes `[…, D]` -> i32 `[…]`, over an axis
 * @gradient none: an index
 * @source NumPy's argmax */
export const argmax = (x: NDArray, axis = -1): NDArray => x.argmax(axis);
/** @formula place of the smallest, the first of equals
 * @shapes `[…, D]` -> i32 `[…]`, over an axis
 * @gradient none: an index
 * @source NumPy's argmin */
export const argmin = (x: NDArray, axis = -1): NDArray => x.argmin(axis);
/** @formula the k largest, in falling order, and their places; the lower place of equals
 * @shapes `[…, D]` -> values and i32 indices `[…, k]`
 * @gradient the values
 * @source MLX's topk */
export const topk = (x: NDArray, k: number): readonly [values: NDArray, indices: NDArray] => topkOf(x, k);
/** @formula max + ln Σ e^(x - max)
 * @shapes `[…, D]` -> `[…]`, over an axis
 * @gradient softmax(x)
 * @source https://arxiv.org/abs/1910.02075 */
export const logSumExp = (x: NDArray, axis = -1): NDArray => logSumExpOf(x, axis);

/** Mean and sum of squared distances of sets, joined as Chan et al. do: no cancellation, in one reading of the data. */
const moments = {
  init: { count: 0, mu: 0, m2: 0 },
  update: {
    count: 'count + 1',
    mu: 'mu + (x - mu) / (count + 1)',
    m2: 'm2 + (x - mu) * (x - mu - (x - mu) / (count + 1))',
  },
  combine: {
    count: 'a.count + b.count',
    mu: 'a.count + b.count == 0 ? 0 : (a.mu * a.count + b.mu * b.count) / max(a.count + b.count, 1)',
    m2: 'a.m2 + b.m2 + square(b.mu - a.mu) * a.count * b.count / max(a.count + b.count, 1)',
  },
} as const;
const twoPass = (x: NDArray, axis: number): NDArray => x.sub(x.mean(axis, true)).square().mean(axis);
const varianceOf = perNumber((axis) =>
  reduce({
    ...moments,
    name: 'variance',
    finalize: 'm2 / n',
    axis,
    composite: (x) => twoPass(x as NDArray, axis),
  }),
);
const deviationOf = perNumber((axis) =>
  reduce({
    ...moments,
    name: 'standardDeviation',
    finalize: 'sqrt(m2 / n)',
    axis,
    composite: (x) => twoPass(x as NDArray, axis).sqrt(),
  }),
);
/** @formula Σ (x - μ)² / D, without cancellation
 * @shapes `[…, D]` -> `[…]`, over an axis
 * @gradient x
 * @source https://doi.org/10.1080/00031305.1983.10483115 */
export const variance = (x: NDArray, axis = -1): NDArray => varianceOf(axis)(x);
/** @formula √(Σ (x - μ)² / D)
 * @shapes `[…, D]` -> `[…]`, over an axis
 * @gradient x
 * @source https://doi.org/10.1080/00031305.1983.10483115 */
export const standardDeviation = (x: NDArray, axis = -1): NDArray => deviationOf(axis)(x);

const norm2 = perNumber((axis) =>
  reduce({ name: 'l2Norm', init: 0, update: 'acc + x * x', combine: 'a + b', finalize: 'sqrt(acc)', axis }),
);
/** @formula √Σ x²
 * @shapes `[…, D]` -> `[…]`, over an axis
 * @gradient x / y
 * @source NumPy's norm */
export const l2Norm = (x: NDArray, axis = -1): NDArray => norm2(axis)(x);
const norm1 = perNumber((axis) =>
  reduce({ name: 'l1Norm', init: 0, update: 'acc + abs(x)', combine: 'a + b', axis }),
);
/** @formula Σ |x|
 * @shapes `[…, D]` -> `[…]`, over an axis
 * @gradient sign(x)
 * @source NumPy's norm */
export const l1Norm = (x: NDArray, axis = -1): NDArray => norm1(axis)(x);

const product = reduce({
  name: 'dotLast',
  inputs: ['x', 'y'],
  init: 0,
  update: 'acc + x * y',
  combine: 'a + b',
});
/** @formula Σ x y, without the products in memory
 * @shapes x, y `[…, D]` -> `[…]`
 * @gradient x, y
 * @source NumPy's vecdot */
export const dotLast = (x: NDArray, y: NDArray): NDArray => product(x, y);

const standard = perNumber((eps) =>
  mapReduce({
    name: 'standardize',
    passes: {
      mean: { init: 0, update: 'acc + x', combine: 'a + b', finalize: 'acc / n' },
      power: { init: 0, update: 'acc + square(x - mean)', combine: 'a + b', finalize: 'acc / n' },
    },
    write: `(x - mean) * rsqrt(power + ${eps})`,
  }),
);
/** @formula (x - μ) / √(σ² + eps)
 * @shapes `[…, D]` -> `[…, D]`
 * @gradient x
 * @source https://arxiv.org/abs/1607.06450 */
export const standardize = (x: NDArray, eps = 1e-6): NDArray => standard(eps)(x);
