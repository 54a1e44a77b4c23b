// Mixtures of experts: routers in their forms, dispatch by expert, products and sums. Ids are i32; ties go to the lower expert; a bias steers
// which experts are chosen and is no part of their weights.

import type { NDArray } from '../../array/array.ts';
import { arange } from '../../array/creation.ts';
import { gatherMm } from '../../array/functions/quantized.ts';
import { where } from '../../array/ops/elementwise/where.ts';
import { type MoeRouteOptions, moeRoute } from '../../array/ops/experts/moe-route.ts';
import { scatterAdd } from '../../array/ops/indexing/scatter-add.ts';
import { argsort } from '../../array/ops/indexing/sort.ts';
import { takeAlongAxis } from '../../array/ops/indexing/take-along-axis.ts';
import { topk } from '../../array/ops/indexing/topk.ts';
import { customFunction } from '../../array/transform/custom.ts';
import { vjp } from '../../array/transform/grad.ts';
import { elementwise } from '../elementwise.ts';
import { reduce } from '../reduce.ts';
import { require, sizes, width } from './common.ts';

/** @formula x W[id]ᵀ + bias[id] of each chosen expert
 * @shapes x `[n, K]` or `[n, k, K]`, ids i32 `[n, k]`, W packed `[E, N, K]` -> `[n, k, N]`
 * @gradient x, bias
 * @source https://arxiv.org/abs/1701.06538 */
export { expertLinear as gatherQmm } from '../../array/ops/experts/expert-linear.ts';
/** The down product of the chosen experts and their weighted sum, in one kernel over packed weights.
 * @formula Σ weights[k] (h[k] down[id]ᵀ)
 * @shapes h `[n, k, K]`, ids i32 `[n, k]`, weights `[n, k]`, down packed `[E, N, K]` -> `[n, N]`
 * @gradient h, weights
 * @source https://arxiv.org/abs/1701.06538 */
export { moeDown as gatherQmmCombine } from '../../array/ops/experts/moe-down.ts';
/** Product of each row with a gate and an up matrix of the chosen experts, in one kernel over packed weights.
 * @formula act(x gate[id]ᵀ) · (x up[id]ᵀ)
 * @shapes x `[n, K]`, ids i32 `[n, k]`, gate, up packed `[E, N, K]` -> `[n, k, N]`
 * @gradient x
 * @source https://arxiv.org/abs/2002.05202 */
export { moeGlu as gatherQmmSwiglu } from '../../array/ops/experts/moe-glu.ts';

export interface Routed {
  /** i32 `[…, k]` */
  readonly ids: NDArray;
  /** f32 `[…, k]` */
  readonly weights: NDArray;
}
export interface RouteOptions {
  /** Divides weights by their sum. Default true. */
  readonly normalize?: boolean;
  /** Multiplies weights. Default 1. */
  readonly scale?: number;
}
export interface BiasedRouteOptions extends RouteOptions {
  /** `[E]`: added to scores where experts are chosen. */
  readonly bias?: NDArray;
}

/** The kernel that routes, with the gradient of the weights of those it chose. */
function routed(
  logits: NDArray,
  k: number,
  options: MoeRouteOptions,
  weightsOf: (x: NDArray, ids: NDArray) => NDArray,
): Routed {
  const route = customFunction(
    (x) => [...moeRoute(x, k, options)],
    ([x], [, g], [ids]) => {
      const [, grads] = vjp((p) => weightsOf(p as NDArray, ids as NDArray), [x as NDArray], [g as NDArray]);
      return [...grads];
    },
  );
  const [ids, weights] = route(logits) as readonly NDArray[];
  return { ids: ids as NDArray, weights: weights as NDArray };
}

/** @formula weights = softmax(x)[top k], divided by their sum
 * @shapes logits `[…, E]` -> ids i32, weights f32 `[…, k]`
 * @gradient logits
 * @source https://arxiv.org/abs/2101.03961 */
export const routeSoftmax = (
  logits: NDArray,
  k: number,
  { normalize = true, scale = 1 }: RouteOptions = {},
): Routed =>
  routed(logits, k, { mode: 'softmax-topk', normTopk: normalize, scale }, (x, ids) => {
    const chosen = takeAlongAxis(x.cast('f32').softmax(), ids, -1);
    return (normalize ? chosen.div(chosen.sum(-1, true)) : chosen).mul(scale);
  });
/** @formula weights = softmax(x[top k])
 * @shapes logits `[…, E]` -> ids i32, weights f32 `[…, k]`
 * @gradient logits
 * @source https://arxiv.org/abs/2401.04088 */
export const routeTopkSoftmax = (
  logits: NDArray,
  k: number,
  { scale = 1 }: { readonly scale?: number } = {},
): Routed =>
  routed(logits, k, { mode: 'topk-softmax', normTopk: false, scale }, (x, ids) =>
    takeAlongAxis(x.cast('f32'), ids, -1).softmax().mul(scale),
  );

function pick(scores: NDArray, steering: NDArray, k: number, options: RouteOptions): Routed {
  const { normalize = true, scale = 1 } = options;
  const E = width(scores, 'route');
  require(Number.isInteger(k) && k >= 1 && k <= E, `route: k = ${k} must be from 1 to the ${E} experts`);
  const [, ids] = topk(steering, k);
  const chosen = takeAlongAxis(scores, ids, -1);
  const shares = normalize ? shared(chosen, chosen.sum(-1, true)) : chosen;
  return { ids, weights: scale === 1 ? shares : shares.mul(scale) };
}
const shared = elementwise('w / (total + 1e-20)', { name: 'route', inputs: ['w', 'total'] });
const steer = (scores: NDArray, bias: NDArray | undefined): NDArray =>
  bias === undefined ? scores : scores.add(bias);

/** @formula s = σ(x); ids = top k of s + bias; weights = s[ids] / Σ
 * @shapes logits `[…, E]`, bias `[E]` -> ids i32, weights f32 `[…, k]`
 * @gradient logits
 * @source https://arxiv.org/abs/2412.19437 */
export function routeSigmoid(logits: NDArray, k: number, options: BiasedRouteOptions = {}): Routed {
  const scores = logits.cast('f32').sigmoid();
  return pick(scores, steer(scores, options.bias), k, options);
}
const rootSoftplus = elementwise('sqrt(softplus(x))', { name: 'routeSqrtSoftplus' });
/** @formula s = √ln(1 + eˣ); ids = top k of s + bias; weights = s[ids] / Σ
 * @shapes logits `[…, E]`, bias `[E]` -> ids i32, weights f32 `[…, k]`
 * @gradient logits
 * @source DeepSeek V4 */
export function routeSqrtSoftplus(logits: NDArray, k: number, options: BiasedRouteOptions = {}): Routed {
  const scores = rootSoftplus(logits.cast('f32'));
  return pick(scores, steer(scores, options.bias), k, options);
}
export interface GroupedRouteOptions extends BiasedRouteOptions {
  readonly groups: number;
  /** Groups whose experts can be chosen. */
  readonly topGroups: number;
}
/** Experts of the best groups alone; a group's score is that of its two best. Those of other groups are out, also where all scores are below 0.
 * @formula s = σ(x); groups by Σ of the two best of s + bias; ids = top k inside the best groups; weights = s[ids] / Σ
 * @shapes logits `[…, E]`, bias `[E]` -> ids i32, weights f32 `[…, k]`
 * @gradient logits
 * @source https://arxiv.org/abs/2412.19437 */
export function routeGrouped(logits: NDArray, k: number, options: GroupedRouteOptions): Routed {
  const { groups, topGroups, bias } = options;
  const E = width(logits, 'routeGrouped');
  require(E % groups === 0, `routeGrouped: ${E} experts do not divide into ${groups} groups`);
  require(topGroups >= 1 &&
    topGroups <= groups &&
    topGroups * (E / groups) >=
      k, `routeGrouped: ${topGroups} groups of ${E / groups} do not hold ${k} experts`);
  const rows = logits.shape.slice(0, -1);
  const scores = logits.cast('f32').sigmoid();
  const steering = steer(scores, bias);
  const grouped = steering.reshape([...rows, groups, E / groups]);
  const [best] = topk(grouped, Math.min(2, E / groups));
  const [, top] = topk(best.sum(-1), topGroups);
  const open = top
    .reshape([...rows, topGroups, 1])
    .eq(arange(groups))
    .any(-2)
    .reshape([...rows, groups, 1]);
  const inside = where(open, grouped, Number.NEGATIVE_INFINITY).reshape(scores.shape);
  return pick(scores, inside, k, options);
}

export interface Dispatched {
  /** `[n k, D]`: rows of one expert after those of the one before. */
  readonly rows: NDArray;
  /** i32 `[n k]`: which slot (row · k + place) each of them is. */
  readonly order: NDArray;
  /** i32 `[E]`: rows of each expert. */
  readonly counts: NDArray;
}
/** Rows sorted by the expert they go to, so that each expert has one matrix product.
 * @formula order = stable argsort of ids; rows = x[order / k]
 * @shapes x `[n, D]`, ids i32 `[n, k]` -> rows `[n k, D]`, order i32 `[n k]`, counts i32 `[E]`
 * @gradient x
 * @source https://arxiv.org/abs/2211.15841 */
export function dispatch(x: NDArray, ids: NDArray, experts: number): Dispatched {
  const [n, k] = sizes(ids, 2, 'dispatch: ids') as [number, number];
  // Slots of one expert stay in their order: sorting is by the expert first, then by the slot.
  const keys = ids
    .reshape([n * k])
    .mul(n * k)
    .add(arange(n * k));
  const order = argsort(keys, 0);
  const counts = ids
    .reshape([n * k, 1])
    .eq(arange(experts))
    .cast('i32')
    .sum(0);
  return { rows: x.take(order.floorDivide(k), 0), order, counts };
}

/** Rows that were dispatched, back at their tokens.
 * @formula y[n] = Σ weights[n, k] outputs[place of slot (n, k)]
 * @shapes outputs `[n k, D]`, order i32 `[n k]`, weights `[n, k]` -> `[n, D]`
 * @gradient outputs, weights
 * @source https://arxiv.org/abs/2211.15841 */
export function undispatch(outputs: NDArray, order: NDArray, weights: NDArray): NDArray {
  const [n, k] = sizes(weights, 2, 'undispatch: weights') as [number, number];
  const share = weights
    .reshape([n * k])
    .take(order, 0)
    .reshape([n * k, 1]);
  return scatterAdd(outputs.mul(share.cast(outputs.dtype)), order.floorDivide(k), n);
}

const weighted = reduce({
  name: 'combine',
  inputs: ['x', 'w'],
  init: 0,
  update: 'acc + w * x',
  combine: 'a + b',
  axis: -2,
});
/** One kernel: products and sums in f32, one rounding.
 * @formula Σ weights[k] x[k]
 * @shapes x `[…, k, D]`, weights `[…, k]` -> `[…, D]`
 * @gradient x, weights
 * @source https://arxiv.org/abs/1701.06538 */
export const combine = (x: NDArray, weights: NDArray): NDArray =>
  weighted(x, weights.reshape([...weights.shape, 1])).cast(x.dtype);

/** @formula x[i] w[ids[i]]
 * @shapes x `[…, M, K]`, w `[E, K, N]`, ids `[…]` -> `[…, M, N]`
 * @gradient x, w
 * @source MLX's gather_mm */
export const gatherMatmul = (x: NDArray, w: NDArray, ids: NDArray): NDArray => gatherMm(x, w, null, ids);

/** @formula E Σ_e share of slots of e · mean probability of e
 * @shapes logits `[n, E]`, ids i32 `[n, k]` -> f32 `[]`
 * @gradient logits
 * @source https://arxiv.org/abs/2101.03961 */
export function loadBalanceLoss(logits: NDArray, ids: NDArray): NDArray {
  const E = width(logits, 'loadBalanceLoss');
  const [n, k] = sizes(ids, 2, 'loadBalanceLoss: ids') as [number, number];
  const counts = ids
    .reshape([n * k, 1])
    .eq(arange(E))
    .cast('f32')
    .mean(0);
  return counts.mul(logits.cast('f32').softmax().mean(0)).sum().mul(E);
}
