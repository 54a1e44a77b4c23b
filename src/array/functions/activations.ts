// Activations of neural networks, over any shape of floats.

import type { NDArray } from '../array.ts';
import { clip, relu } from '../derived.ts';
import { where } from '../ops/elementwise/where.ts';
import { alongAxis, axisOf } from './terms.ts';

/** min(max(x, 0), 6). */
export const relu6 = (x: NDArray): NDArray => clip(x, 0, 6);
/** x where positive, `weight` x elsewhere; the weight broadcasts. */
export const prelu = (x: NDArray, weight: NDArray): NDArray => relu(x).add(x.minimum(0).mul(weight));
/** Self-normalising: https://arxiv.org/abs/1706.02515. */
export function selu(x: NDArray): NDArray {
  const [alpha, scale] = [1.6732632423543772, 1.0507009873554805];
  return where(x.gt(0), x, x.minimum(0).expm1().mul(alpha)).mul(scale);
}
/** max(x, 0) + min(0, alpha (exp(x / alpha) - 1)). */
export const celu = (x: NDArray, alpha = 1): NDArray =>
  x.maximum(0).add(x.minimum(0).div(alpha).expm1().mul(alpha));
/** x sigmoid(x). */
export const swish = (x: NDArray): NDArray => x.silu();
/** min(max(x + 3, 0), 6) / 6. */
export const hardSigmoid = (x: NDArray): NDArray => clip(x.add(3), 0, 6).div(6);
/** x held between `low` and `high`. */
export const hardTanh = (x: NDArray, low = -1, high = 1): NDArray => clip(x, low, high);
/** x where |x| > lambda, 0 elsewhere. */
export const hardShrink = (x: NDArray, lambda = 0.5): NDArray => where(x.abs().gt(lambda), x, 0);
/** x moved toward 0 by lambda. */
export const softShrink = (x: NDArray, lambda = 0.5): NDArray =>
  where(x.gt(lambda), x.sub(lambda), where(x.lt(-lambda), x.add(lambda), 0));
/** x / (1 + |x|). */
export const softsign = (x: NDArray): NDArray => x.div(x.abs().add(1));
/** x - tanh(x). */
export const tanhShrink = (x: NDArray): NDArray => x.sub(x.tanh());
/** 1 above the threshold, 0 elsewhere: i32, as in MLX. */
export const step = (x: NDArray, threshold = 0): NDArray => x.gt(threshold).cast('i32');
/** x sigmoid(1.702 x). */
export const geluFast = (x: NDArray): NDArray => x.mul(x.mul(1.702).sigmoid());
/** Softmax of -x. */
export const softmin = (x: NDArray, axis = -1): NDArray => x.neg().softmax(axis);

/** First half of an axis times the sigmoid of the second. */
export function glu(x: NDArray, axis = -1): NDArray {
  const [at, n] = axisOf(x, axis, 'glu');
  return alongAxis(x, at, [0, n / 2]).mul(alongAxis(x, at, [n / 2, n]).sigmoid());
}
