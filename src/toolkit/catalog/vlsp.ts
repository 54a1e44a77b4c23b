// Kernels of recurrent-depth and reinforcement-learning experiments.

import type { NDArray } from '../../array/array.ts';
import type { Term } from '../../array/ops/elementwise/elementwise.ts';
import { elementwise } from '../elementwise.ts';
import { mapReduce } from '../reduce.ts';
import { perNumber } from './common.ts';
import { rmsNorm } from './norms.ts';

const gated = elementwise('silu(gate) * up + residual', {
  name: 'siluMulResidual',
  inputs: ['gate', 'up', 'residual'],
});
/** @formula silu(gate) · up + residual
 * @shapes gate, up, residual `[…]` -> `[…]`
 * @gradient gate, up, residual
 * @source https://arxiv.org/abs/2002.05202 */
export const siluMulResidual = (gate: NDArray, up: NDArray, residual: NDArray): NDArray =>
  gated(gate, up, residual);

const stepKernel = elementwise('h + alpha * silu(y) * gate', {
  name: 'recurrentStep',
  inputs: ['h', 'y', 'gate', 'alpha'],
});
/** @formula h + α silu(rmsNorm(h, w)) · gate
 * @shapes h, gate `[…, D]`, w `[D]` -> `[…, D]`
 * @gradient h, w, gate, α
 * @source https://arxiv.org/abs/2502.05171 */
export const recurrentStep = (h: NDArray, w: NDArray, gate: NDArray, alpha: Term, eps = 1e-6): NDArray =>
  stepKernel(h, rmsNorm(h, w, eps), gate, alpha);

const depth = elementwise('most * sigmoid(x)', { name: 'depthGate', inputs: ['x', 'most'] });
/** @formula most · σ(x)
 * @shapes x `[…]` -> `[…]`
 * @gradient x
 * @source https://arxiv.org/abs/1603.08983 */
export const depthGate = (x: NDArray, most = 8): NDArray => depth(x, most);

const advantage = perNumber((eps) =>
  mapReduce({
    name: 'grpoAdvantage',
    passes: {
      mean: { init: 0, update: 'acc + r', combine: 'a + b', finalize: 'acc / n' },
      power: { init: 0, update: 'acc + square(r - mean)', combine: 'a + b', finalize: 'acc / n' },
    },
    inputs: ['r'],
    write: `(r - mean) / (sqrt(power) + ${eps})`,
  }),
);
/** Rewards of one prompt against each other.
 * @formula (r - μ) / (σ + eps), μ and σ over the group
 * @shapes rewards `[prompts, group]` -> `[prompts, group]`
 * @gradient rewards
 * @source https://arxiv.org/abs/2402.03300 */
export const grpoAdvantage = (rewards: NDArray, eps = 1e-6): NDArray => advantage(eps)(rewards);
