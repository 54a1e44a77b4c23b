// Matrix products of arrays with what follows them. For packed weights see ingot/array's linear, which fuses norm, gate and residual.

import type { NDArray } from '../../array/array.ts';
import { elementwise } from '../elementwise.ts';
import { rmsNorm } from './norms.ts';
import { addBias, biasGeluTanh, biasSilu, swigluPair } from './transformer.ts';

const product = (x: NDArray, w: NDArray): NDArray => x.matmul(w.transpose());

/** @formula x wᵀ + b
 * @shapes x `[…, M, K]`, w `[N, K]`, b `[N]` -> `[…, M, N]`
 * @gradient x, w, b
 * @source PyTorch's linear */
export const linearBias = (x: NDArray, w: NDArray, b: NDArray): NDArray => addBias(product(x, w), b);
/** @formula gelu_tanh(x wᵀ + b)
 * @shapes x `[…, M, K]`, w `[N, K]`, b `[N]` -> `[…, M, N]`
 * @gradient x, w, b
 * @source https://arxiv.org/abs/1606.08415 */
export const linearBiasGelu = (x: NDArray, w: NDArray, b: NDArray): NDArray => biasGeluTanh(product(x, w), b);
/** @formula silu(x wᵀ + b)
 * @shapes x `[…, M, K]`, w `[N, K]`, b `[N]` -> `[…, M, N]`
 * @gradient x, w, b
 * @source https://arxiv.org/abs/1702.03118 */
export const linearBiasSilu = (x: NDArray, w: NDArray, b: NDArray): NDArray => biasSilu(product(x, w), b);
/** One product, normed: not two, as one kernel per row would need.
 * @formula rmsNorm(x wᵀ, γ)
 * @shapes x `[…, M, K]`, w `[N, K]`, γ `[N]` -> `[…, M, N]`
 * @gradient x, w, γ
 * @source https://arxiv.org/abs/1910.07467 */
export const linearRmsNorm = (x: NDArray, w: NDArray, gamma: NDArray, eps = 1e-6): NDArray =>
  rmsNorm(product(x, w), gamma, eps);
/** @formula silu(x gateᵀ) · (x upᵀ)
 * @shapes x `[…, M, K]`, gate, up `[N, K]` -> `[…, M, N]`
 * @gradient x, gate, up
 * @source https://arxiv.org/abs/2002.05202 */
export const linearSwiglu = (x: NDArray, gate: NDArray, up: NDArray): NDArray =>
  swigluPair(product(x, gate), product(x, up));

const added = elementwise('y + scale * z', { name: 'loraLinear', inputs: ['y', 'z', 'scale'] });
/** @formula x wᵀ + scale (x aᵀ) bᵀ
 * @shapes x `[…, M, K]`, w `[N, K]`, a `[r, K]`, b `[N, r]` -> `[…, M, N]`
 * @gradient x, w, a, b
 * @source https://arxiv.org/abs/2106.09685 */
export const loraLinear = (
  x: NDArray,
  w: NDArray,
  { a, b, scale = 1 }: { a: NDArray; b: NDArray; scale?: number },
): NDArray => added(product(x, w), product(product(x, a), b), scale);
