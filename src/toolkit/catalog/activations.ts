// Activations: elementwise, any shape, f32 inside.

import type { NDArray } from '../../array/array.ts';
import { elementwise } from '../elementwise.ts';

/** @formula eˣ
 * @shapes `[…]` -> `[…]`
 * @gradient y
 * @source C's exp */
export const exp = elementwise('exp(x)', { name: 'exp' });
/** @formula ln x
 * @shapes `[…]` -> `[…]`
 * @gradient 1 / x
 * @source C's log */
export const log = elementwise('log(x)', { name: 'log' });
/** @formula tanh x
 * @shapes `[…]` -> `[…]`
 * @gradient 1 - y²
 * @source C's tanh */
export const tanh = elementwise('tanh(x)', { name: 'tanh' });
/** @formula 1 / (1 + e⁻ˣ)
 * @shapes `[…]` -> `[…]`
 * @gradient y (1 - y)
 * @source https://dlmf.nist.gov/4.37 */
export const sigmoid = elementwise('sigmoid(x)', { name: 'sigmoid' });
/** @formula max(0, x)
 * @shapes `[…]` -> `[…]`
 * @gradient 1 above 0, else 0
 * @source Nair and Hinton 2010 */
export const relu = elementwise('relu(x)', { name: 'relu' });
/** @formula max(0, x)²
 * @shapes `[…]` -> `[…]`
 * @gradient 2 max(0, x)
 * @source https://arxiv.org/abs/2109.08668 */
export const reluSquared = elementwise('square(relu(x))', { name: 'reluSquared' });
/** @formula x σ(x)
 * @shapes `[…]` -> `[…]`
 * @gradient s + x s (1 - s), s = σ(x)
 * @source https://arxiv.org/abs/1702.03118 */
export const silu = elementwise('silu(x)', { name: 'silu' });
/** @formula x Φ(x) by the error function
 * @shapes `[…]` -> `[…]`
 * @gradient Φ(x) + x φ(x)
 * @source https://arxiv.org/abs/1606.08415 */
export const gelu = elementwise('gelu(x)', { name: 'gelu' });
/** @formula 0.5 x (1 + tanh(√(2/π) (x + 0.044715 x³)))
 * @shapes `[…]` -> `[…]`
 * @gradient derived
 * @source https://arxiv.org/abs/1606.08415 */
export const geluTanh = elementwise('gelu_tanh(x)', { name: 'geluTanh' });
/** @formula x σ(1.702 x)
 * @shapes `[…]` -> `[…]`
 * @gradient derived
 * @source https://arxiv.org/abs/1606.08415 */
export const geluFast = elementwise('x * sigmoid(1.702 * x)', { name: 'geluFast' });
/** @formula ln(1 + eˣ), without overflow
 * @shapes `[…]` -> `[…]`
 * @gradient σ(x)
 * @source Dugas et al. 2001 */
export const softplus = elementwise('softplus(x)', { name: 'softplus' });
/** @formula ln σ(x), without overflow
 * @shapes `[…]` -> `[…]`
 * @gradient σ(-x)
 * @source Dugas et al. 2001 */
export const logSigmoid = elementwise('log_sigmoid(x)', { name: 'logSigmoid' });
/** @formula x tanh(ln(1 + eˣ)), without overflow
 * @shapes `[…]` -> `[…]`
 * @gradient derived
 * @source https://arxiv.org/abs/1908.08681 */
export const mish = elementwise('mish(x)', { name: 'mish' });
/** @formula x / (1 + |x|)
 * @shapes `[…]` -> `[…]`
 * @gradient 1 / (1 + |x|)²
 * @source Turian et al. 2009 */
export const softsign = elementwise('x / (1 + abs(x))', { name: 'softsign' });
/** @formula x min(max(x + 3, 0), 6) / 6
 * @shapes `[…]` -> `[…]`
 * @gradient derived
 * @source https://arxiv.org/abs/1905.02244 */
export const hardSwish = elementwise('x * clamp(x + 3, 0, 6) / 6', { name: 'hardSwish' });
/** @formula min(max(x + 3, 0), 6) / 6
 * @shapes `[…]` -> `[…]`
 * @gradient 1/6 between -3 and 3, else 0
 * @source https://arxiv.org/abs/1905.02244 */
export const hardSigmoid = elementwise('clamp(x + 3, 0, 6) / 6', { name: 'hardSigmoid' });
/** @formula 1.0507 (x above 0, else 1.67326 (eˣ - 1))
 * @shapes `[…]` -> `[…]`
 * @gradient derived
 * @source https://arxiv.org/abs/1706.02515 */
export const selu = elementwise('1.0507009873554805 * (x > 0 ? x : 1.6732632423543772 * expm1(min(x, 0)))', {
  name: 'selu',
});

const eluKernel = elementwise('x > 0 ? x : alpha * expm1(min(x, 0))', { name: 'elu' });
/** @formula x above 0, else α (eˣ - 1)
 * @shapes `[…]` -> `[…]`
 * @gradient 1 above 0, else α eˣ
 * @source https://arxiv.org/abs/1511.07289 */
export const elu = (x: NDArray, alpha = 1): NDArray => eluKernel(x, alpha);

const celuKernel = elementwise('relu(x) + min(0, alpha * expm1(min(x, 0) / alpha))', { name: 'celu' });
/** @formula max(0, x) + min(0, α (e^(x/α) - 1))
 * @shapes `[…]` -> `[…]`
 * @gradient derived
 * @source https://arxiv.org/abs/1704.07483 */
export const celu = (x: NDArray, alpha = 1): NDArray => celuKernel(x, alpha);

const leakyKernel = elementwise('x > 0 ? x : slope * x', { name: 'leakyRelu' });
/** @formula x above 0, else slope x
 * @shapes `[…]` -> `[…]`
 * @gradient 1 above 0, else slope
 * @source Maas et al. 2013 */
export const leakyRelu = (x: NDArray, slope = 0.01): NDArray => leakyKernel(x, slope);
