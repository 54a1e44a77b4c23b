// Steps of optimisers: parameter and moments in one kernel. The learning rate and the number of the step are operands, so a schedule compiles nothing.
// ingot/nn's optimisers are written in array operations that become the same kernel.

import type { NDArray } from '../../array/array.ts';
import type { Term } from '../../array/ops/elementwise/elementwise.ts';
import { elementwise } from '../elementwise.ts';

export interface MomentInputs {
  readonly p: NDArray;
  readonly g: NDArray;
  readonly m: NDArray;
  readonly v: NDArray;
  readonly learningRate: Term;
  /** 1 at the first step. */
  readonly step: Term;
}
export interface AdamOptions {
  readonly beta1?: number;
  readonly beta2?: number;
  readonly eps?: number;
  readonly weightDecay?: number;
}
export interface Moments {
  readonly p: NDArray;
  readonly m: NDArray;
  readonly v: NDArray;
}

const inputs = ['p', 'g', 'm', 'v', 'rate', 'step', 'b1', 'b2', 'eps', 'decay'];
const moments = `let m1 = b1 * m + (1 - b1) * d;
  let v1 = b2 * v + (1 - b2) * d * d;
  let change = m1 / (1 - pow(b1, step)) / (sqrt(v1 / (1 - pow(b2, step))) + eps);`;
const adamw = elementwise(`let d = g; ${moments} { p: p - rate * (change + decay * p), m: m1, v: v1 }`, {
  name: 'adamwStep',
  inputs,
});
const adam = elementwise(`let d = g + decay * p; ${moments} { p: p - rate * change, m: m1, v: v1 }`, {
  name: 'adamStep',
  inputs,
});

type Step = (...terms: Term[]) => Readonly<Record<string, NDArray>>;
function run(
  step: Step,
  { p, g, m, v, learningRate, step: t }: MomentInputs,
  options: AdamOptions,
  decay: number,
): Moments {
  const { beta1 = 0.9, beta2 = 0.999, eps = 1e-8, weightDecay = decay } = options;
  const next = step(
    p,
    g,
    m,
    v,
    floating(learningRate),
    floating(t),
    beta1,
    beta2,
    eps,
    weightDecay,
  ) as unknown as Moments;
  return { p: next.p.cast(p.dtype), m: next.m.cast(m.dtype), v: next.v.cast(v.dtype) };
}
const floating = (x: Term): Term => (typeof x === 'object' ? x.cast('f32') : x);

/** @formula m = β₁ m + (1 - β₁) g; v = β₂ v + (1 - β₂) g²; p -= rate (m̂ / (√v̂ + eps) + decay p)
 * @shapes p, g, m, v `[…]` -> p, m, v `[…]`, each in its dtype
 * @gradient derived; training needs none
 * @source https://arxiv.org/abs/1711.05101 */
export const adamwStep = (call: MomentInputs, options: AdamOptions = {}): Moments =>
  run(adamw, call, options, 0.01);
/** @formula as adamwStep with g + decay p for g, and no other decay
 * @shapes p, g, m, v `[…]` -> p, m, v `[…]`, each in its dtype
 * @gradient derived; training needs none
 * @source https://arxiv.org/abs/1412.6980 */
export const adamStep = (call: MomentInputs, options: AdamOptions = {}): Moments =>
  run(adam, call, options, 0);

const lion = elementwise(
  '{ p: p - rate * (sign(b1 * m + (1 - b1) * g) + decay * p), m: b2 * m + (1 - b2) * g }',
  {
    name: 'lionStep',
    inputs: ['p', 'g', 'm', 'rate', 'b1', 'b2', 'decay'],
  },
);
/** @formula p -= rate (sign(β₁ m + (1 - β₁) g) + decay p); m = β₂ m + (1 - β₂) g
 * @shapes p, g, m `[…]` -> p, m `[…]`, each in its dtype
 * @gradient none: sign
 * @source https://arxiv.org/abs/2302.06675 */
export function lionStep(
  { p, g, m, learningRate }: Pick<MomentInputs, 'p' | 'g' | 'm' | 'learningRate'>,
  { beta1 = 0.9, beta2 = 0.99, weightDecay = 0 }: AdamOptions = {},
): { readonly p: NDArray; readonly m: NDArray } {
  const next = lion(p, g, m, floating(learningRate), beta1, beta2, weightDecay) as unknown as Moments;
  return { p: next.p.cast(p.dtype), m: next.m.cast(m.dtype) };
}

const sgd = elementwise('let d = g + decay * p; let m1 = keep * m + d; { p: p - rate * m1, m: m1 }', {
  name: 'sgdStep',
  inputs: ['p', 'g', 'm', 'rate', 'keep', 'decay'],
});
/** @formula m = μ m + g + decay p; p -= rate m
 * @shapes p, g, m `[…]` -> p, m `[…]`, each in its dtype
 * @gradient derived; training needs none
 * @source PyTorch's SGD */
export function sgdStep(
  { p, g, m, learningRate }: Pick<MomentInputs, 'p' | 'g' | 'm' | 'learningRate'>,
  { momentum = 0.9, weightDecay = 0 } = {},
): { readonly p: NDArray; readonly m: NDArray } {
  const next = sgd(p, g, m, floating(learningRate), momentum, weightDecay) as unknown as Moments;
  return { p: next.p.cast(p.dtype), m: next.m.cast(m.dtype) };
}
