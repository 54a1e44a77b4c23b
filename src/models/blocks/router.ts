// The choice of experts for each token, and the weights of their results.

import type { NDArray } from '../../array/array.ts';
import { arange } from '../../array/creation.ts';
import { softplus } from '../../array/derived.ts';
import { where } from '../../array/ops/elementwise/where.ts';
import { moeReroute, type RerouteLimits } from '../../array/ops/experts/moe-reroute.ts';
import { moeRoute, pickScores } from '../../array/ops/experts/moe-route.ts';
import type { Weight } from '../../array/weight.ts';
import type { RouterConfig } from '../config/experts.ts';

/** Expert ids (i32) and weights, `[n, k]` each. */
export type Routes = readonly [ids: NDArray, weights: NDArray];

/** What gives way to experts in memory, and a stack that knows which those are. */
export interface Reroute extends RerouteLimits {
  readonly stack: Weight;
}

/** Routes by the router's logits `[n, E]`, `correction` `[E]` where the config has one; ties go to the lower id. */
export function route(
  logits: NDArray,
  k: number,
  config: RouterConfig,
  correction: NDArray | undefined,
  reroute?: Reroute | undefined,
): Routes {
  const routes = truly(logits, k, config, correction);
  if (reroute === undefined) return routes;
  const { score, groups, normalised } = config;
  const scores = scoresOf(logits, score === 'softmax-chosen' ? 'softmax' : score);
  const normTopk = normalised || score === 'softmax-chosen';
  return moeReroute(routes, {
    ...reroute,
    order: choiceScores(scores, groups, correction),
    scores,
    normTopk,
  });
}

/** What the best k of are chosen. */
function choiceScores(
  scores: NDArray,
  groups: RouterConfig['groups'],
  correction: NDArray | undefined,
): NDArray {
  const biased = correction === undefined ? scores : scores.add(correction);
  return groups === undefined ? biased : onlyBestGroups(biased, groups);
}

function truly(logits: NDArray, k: number, config: RouterConfig, correction: NDArray | undefined): Routes {
  const { score, groups, normalised, epsilon, scale } = config;
  if (groups === undefined) {
    const mode = score === 'softmax' ? 'softmax-topk' : score === 'softmax-chosen' ? 'topk-softmax' : score;
    return moeRoute(logits, k, { normTopk: normalised, epsilon, mode, scale, correction });
  }
  const scores = scoresOf(logits, score);
  const [, ids] = choiceScores(scores, groups, correction).topk(k);
  const chosen = score === 'softmax-chosen' ? pickScores(scores, ids).softmax() : pickScores(scores, ids);
  return [ids, routeWeights(chosen, { normalised, epsilon, scale })];
}

/** The scores of chosen experts as weights of their results. */
export function routeWeights(
  chosen: NDArray,
  { normalised, epsilon, scale }: Pick<RouterConfig, 'normalised' | 'epsilon' | 'scale'>,
): NDArray {
  const weights = normalised ? chosen.div(chosen.sum(-1, true).add(epsilon)) : chosen;
  return scale === 1 ? weights : weights.mul(scale);
}

export function scoresOf(logits: NDArray, score: RouterConfig['score']): NDArray {
  switch (score) {
    case 'softmax':
      return logits.softmax();
    case 'sigmoid':
      return logits.sigmoid();
    case 'sqrt-softplus':
      return softplus(logits).sqrt();
    case 'softmax-chosen':
      return logits;
  }
}

/** Scores below all others where the expert's group is not among the best. */
function onlyBestGroups(
  scores: NDArray,
  { count, kept, score }: NonNullable<RouterConfig['groups']>,
): NDArray {
  const [rows = 0, E = 0] = scores.shape;
  const each = Number(E) / count;
  const grouped = scores.reshape([rows, count, each]);
  const best = score === 'max' ? grouped.max(-1) : grouped.topk(Math.min(2, each))[0].sum(-1);
  const [, ids] = best.topk(kept);
  const chosen = ids
    .reshape([rows, kept, 1])
    .eq(arange(0, count, 1, 'i32'))
    .cast('f32')
    .sum(1);
  return where(chosen.reshape([rows, count, 1]).gt(0), grouped, -3e38).reshape([rows, E]);
}
