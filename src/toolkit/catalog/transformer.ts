// What stands between the matrix products of a transformer: gated units, biases, dropout, soft caps.

import type { NDArray } from '../../array/array.ts';
import { arange } from '../../array/creation.ts';
import type { Term } from '../../array/ops/elementwise/elementwise.ts';
import { elementwise } from '../elementwise.ts';
import { halves, require, width } from './common.ts';
import { layerNorm, rmsNorm } from './norms.ts';

const pair = (name: string, act: string) =>
  elementwise(`${act}(gate) * up`, { name, inputs: ['gate', 'up'] });
const biased = (name: string, act: string) =>
  elementwise(`${act}(gate + b) * (up + c)`, { name, inputs: ['gate', 'up', 'b', 'c'] });

/** @formula silu(gate) · up
 * @shapes gate, up `[…]` -> `[…]`
 * @gradient gate, up
 * @source https://arxiv.org/abs/2002.05202 */
export const swigluPair = pair('swigluPair', 'silu');
/** @formula gelu_tanh(gate) · up
 * @shapes gate, up `[…]` -> `[…]`
 * @gradient gate, up
 * @source https://arxiv.org/abs/2002.05202 */
export const gegluPair = pair('gegluPair', 'gelu_tanh');
/** @formula relu(gate) · up
 * @shapes gate, up `[…]` -> `[…]`
 * @gradient gate, up
 * @source https://arxiv.org/abs/2002.05202 */
export const regluPair = pair('regluPair', 'relu');

/** @formula silu(x₁) · x₂ of the halves of the last axis
 * @shapes x `[…, 2 D]` -> `[…, D]`
 * @gradient x
 * @source https://arxiv.org/abs/2002.05202 */
export const swiglu = (x: NDArray): NDArray => swigluPair(...halves(x, 'swiglu'));
/** @formula gelu_tanh(x₁) · x₂ of the halves of the last axis
 * @shapes x `[…, 2 D]` -> `[…, D]`
 * @gradient x
 * @source https://arxiv.org/abs/2002.05202 */
export const geglu = (x: NDArray): NDArray => gegluPair(...halves(x, 'geglu'));
/** @formula relu(x₁) · x₂ of the halves of the last axis
 * @shapes x `[…, 2 D]` -> `[…, D]`
 * @gradient x
 * @source https://arxiv.org/abs/2002.05202 */
export const reglu = (x: NDArray): NDArray => regluPair(...halves(x, 'reglu'));
/** @formula σ(x₂) · x₁ of the halves of the last axis
 * @shapes x `[…, 2 D]` -> `[…, D]`
 * @gradient x
 * @source https://arxiv.org/abs/1612.08083 */
export const glu = (x: NDArray): NDArray => gluPair(...halves(x, 'glu'));
const gluPair = elementwise('value * sigmoid(gate)', { name: 'glu', inputs: ['value', 'gate'] });

const biasSwigluKernel = biased('biasSwiglu', 'silu');
const biasGegluKernel = biased('biasGeglu', 'gelu_tanh');
/** @formula swiglu(x + bias)
 * @shapes x `[…, 2 D]`, bias `[2 D]` -> `[…, D]`
 * @gradient x, bias
 * @source https://arxiv.org/abs/2002.05202 */
export const biasSwiglu = (x: NDArray, bias: NDArray): NDArray =>
  biasSwigluKernel(...halves(x, 'biasSwiglu'), ...halves(bias, 'biasSwiglu'));
/** @formula geglu(x + bias)
 * @shapes x `[…, 2 D]`, bias `[2 D]` -> `[…, D]`
 * @gradient x, bias
 * @source https://arxiv.org/abs/2002.05202 */
export const biasGeglu = (x: NDArray, bias: NDArray): NDArray =>
  biasGegluKernel(...halves(x, 'biasGeglu'), ...halves(bias, 'biasGeglu'));

/** @formula x + bias
 * @shapes x `[…, C]`, bias `[C]` -> `[…, C]`
 * @gradient x, bias
 * @source NumPy's broadcasting */
export const addBias = elementwise('x + bias', { name: 'addBias' });
/** @formula gelu_tanh(x + bias)
 * @shapes x `[…, C]`, bias `[C]` -> `[…, C]`
 * @gradient x, bias
 * @source https://arxiv.org/abs/1606.08415 */
export const biasGeluTanh = elementwise('gelu_tanh(x + bias)', { name: 'biasGeluTanh' });
/** @formula silu(x + bias)
 * @shapes x `[…, C]`, bias `[C]` -> `[…, C]`
 * @gradient x, bias
 * @source https://arxiv.org/abs/1702.03118 */
export const biasSilu = elementwise('silu(x + bias)', { name: 'biasSilu' });

const capKernel = elementwise('cap * tanh(x / cap)', { name: 'softcap', inputs: ['x', 'cap'] });
/** @formula cap tanh(x / cap)
 * @shapes x `[…]` -> `[…]`
 * @gradient x
 * @source https://arxiv.org/abs/2408.00118 */
export const softcap = (x: NDArray, cap: number): NDArray => capKernel(x, cap);

/** The swiglu of GPT-OSS: gate held below a limit, up between its limits, and 1 added to it.
 * @formula min(g, limit) σ(α min(g, limit)) · (clamp(u, ±limit) + 1)
 * @shapes gate, up `[…]` -> `[…]`
 * @gradient gate, up
 * @source https://github.com/openai/gpt-oss */
export const clampedSwiglu = (gate: NDArray, up: NDArray, { limit = 7, alpha = 1.702 } = {}): NDArray =>
  clampedKernel(gate, up, limit, alpha);
const clampedKernel = elementwise(
  'let g = min(gate, limit); g * sigmoid(alpha * g) * (clamp(up, -limit, limit) + 1)',
  { name: 'clampedSwiglu', inputs: ['gate', 'up', 'limit', 'alpha'] },
);

/** A word of random bits from the number of an element and two words of a key: two rounds of a hash of 32 bits. */
const dropoutKernel = elementwise(
  `fn mix1(h) = (h ^ (h >> 16u)) * 0x7feb352du;
   fn mix2(h) = (h ^ (h >> 15u)) * 0x846ca68bu;
   fn hash(h) = mix2(mix1(h)) ^ (mix2(mix1(h)) >> 16u);
   let word = hash(hash(row * columns + column + k0) ^ k1);
   let u = f32(word >> 8u) / 16777216.0;
   u < p ? 0.0 : x / (1.0 - p)`,
  { name: 'dropout', inputs: ['x', 'row', 'column', 'columns', 'k0', 'k1', 'p'] },
);
/** Elements become 0 with probability p, others grow by 1 / (1 - p). The key decides which, and is an operand: another one compiles nothing.
 * @formula 0 where hash(key, index) < p, else x / (1 - p)
 * @shapes x `[…]`, key u32 `[2]` -> `[…]`
 * @gradient x
 * @source https://jmlr.org/papers/v15/srivastava14a.html */
export function dropout(x: NDArray, p: Term, key: NDArray): NDArray {
  require(typeof p !== 'number' ||
    (p >= 0 && p < 1), `dropout: p is ${String(p)}; it must be at least 0 and below 1`);
  require(key.dtype === 'u32' && key.shape.length === 1 && key.shape[0] === 2, 'dropout: the key is u32 [2]');
  const D = x.shape.length === 0 ? 1 : width(x, 'dropout');
  const rows = (x.shape as readonly number[]).reduce((a, d) => a * d, 1) / Math.max(1, D);
  const flat = x.reshape([rows, D]);
  const word = (i: number): NDArray => key.slice([i, i + 1]).reshape([1, 1]);
  const row = arange(rows, undefined, 1, 'u32').reshape([rows, 1]);
  return dropoutKernel(flat, row, arange(D, undefined, 1, 'u32'), D, word(0), word(1), p).reshape(x.shape);
}

/** @formula dropout(rmsNorm(x, w), p)
 * @shapes x `[…, D]`, w `[D]`, key u32 `[2]` -> `[…, D]`
 * @gradient x, w
 * @source https://arxiv.org/abs/1910.07467 */
export const rmsNormDropout = (x: NDArray, w: NDArray, p: number, key: NDArray, eps = 1e-6): NDArray =>
  dropout(rmsNorm(x, w, eps), p, key);
/** @formula dropout(layerNorm(x, w, b), p)
 * @shapes x `[…, D]`, w, b `[D]`, key u32 `[2]` -> `[…, D]`
 * @gradient x, w, b
 * @source https://arxiv.org/abs/1607.06450 */
export const layerNormDropout = (
  x: NDArray,
  { w, b, p, key, eps = 1e-5 }: { w: NDArray; b: NDArray; p: number; key: NDArray; eps?: number },
): NDArray => dropout(layerNorm(x, w, b, eps), p, key);

/** A scaled branch added to the residual, as Granite and DeepSeek do.
 * @formula residual + scale x
 * @shapes x, residual `[…]` -> `[…]`
 * @gradient x, residual
 * @source https://arxiv.org/abs/2203.03466 */
export const scaledResidual = (residual: NDArray, x: NDArray, scale: Term): NDArray =>
  scaledKernel(residual, x, scale);
const scaledKernel = elementwise('residual + scale * x', {
  name: 'scaledResidual',
  inputs: ['residual', 'x', 'scale'],
});
