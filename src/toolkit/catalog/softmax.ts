// Softmax and what belongs to it, over any axis, accumulated in f32.

import type { NDArray } from '../../array/array.ts';
import { mapReduce } from '../reduce.ts';

/** @formula x - max - ln Σ e^(x - max)
 * @shapes x `[…]` -> `[…]`, over an axis (default the last)
 * @gradient g - softmax(x) Σ g
 * @source Bridle 1990 */
export { logSoftmax } from '../../array/ops/reduce/log-softmax.ts';
/** @formula e^(x - max) / Σ e^(x - max)
 * @shapes x `[…]` -> `[…]`, over an axis (default the last)
 * @gradient y (g - Σ g y)
 * @source Bridle 1990 */
export { softmax } from '../../array/ops/reduce/softmax.ts';

const total = { init: 0, update: 'acc + g * y', combine: 'a + b' } as const;
const backward = mapReduce({
  name: 'softmaxGradient',
  inputs: ['y', 'g'],
  passes: { dot: total },
  write: 'y * (g - dot)',
});
/** The gradient of softmax from its result y and the cotangent g, for rules by hand.
 * @formula y (g - Σ g y)
 * @shapes y, g `[…, D]` -> `[…, D]`
 * @gradient y, g
 * @source https://arxiv.org/abs/1805.02867 */
export const softmaxGradient = (y: NDArray, g: NDArray): NDArray => backward(y, g);

const minKernel = mapReduce({
  name: 'softmin',
  passes: {
    least: { init: 'inf', update: 'min(acc, x)', combine: 'min(a, b)' },
    sum: { init: 0, update: 'acc + exp(least - x)', combine: 'a + b' },
  },
  write: 'exp(least - x) / sum',
  composite: (x) => (x as NDArray).neg().softmax(),
});
/** @formula e^(min - x) / Σ e^(min - x)
 * @shapes `[…, D]` -> `[…, D]`
 * @gradient x
 * @source Bridle 1990 */
export const softmin = (x: NDArray): NDArray => minKernel(x);
