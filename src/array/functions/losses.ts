// Losses: differences of predictions and targets, as a mean (default), a sum, or one for each place.

import { IngotError } from '../../base/errors.ts';
import { formatShape } from '../../base/shape.ts';
import type { NDArray } from '../array.ts';
import { logSigmoid, logSumExp } from '../derived.ts';
import { where } from '../ops/elementwise/where.ts';
import { takeAlongAxis } from '../ops/indexing/take-along-axis.ts';
import { axisOf } from './terms.ts';

export type Reduction = 'none' | 'mean' | 'sum';

const reduced = (loss: NDArray, reduction: Reduction): NDArray =>
  reduction === 'none' ? loss : reduction === 'sum' ? loss.sum() : loss.mean();

export interface CrossEntropyOptions {
  readonly axis?: number;
  readonly weights?: NDArray;
  /** Part of the probability that is spread over all classes. */
  readonly labelSmoothing?: number;
  readonly reduction?: Reduction;
}

/** -log softmax(logits) of the target classes: indices, or probabilities in the shape of the logits. */
export function crossEntropy(logits: NDArray, targets: NDArray, options: CrossEntropyOptions = {}): NDArray {
  const { axis = -1, weights, labelSmoothing = 0, reduction = 'mean' } = options;
  const [at, classes] = axisOf(logits, axis, 'crossEntropy');
  const places = logits.shape.filter((_, i) => i !== at);
  const probabilities = targets.shape.length === logits.shape.length;
  if (!probabilities && formatShape(targets.shape) !== formatShape(places)) {
    throw new IngotError(
      'shape_mismatch',
      `crossEntropy: targets ${formatShape(targets.shape)} do not fit logits ${formatShape(logits.shape)}`,
    );
  }
  const normaliser = logSumExp(logits, at);
  const score = probabilities
    ? logits.mul(targets).sum(at)
    : takeAlongAxis(logits, targets.reshape(logits.shape.map((d, i) => (i === at ? 1 : d))), at).reshape(
        places,
      );
  const kept = score.mul(1 - labelSmoothing);
  const smooth = labelSmoothing === 0 ? kept : kept.add(logits.sum(at).mul(labelSmoothing / classes));
  const loss = normaliser.sub(smooth);
  if (weights === undefined) return reduced(loss, reduction);
  const weighted = loss.mul(weights);
  return reduction === 'mean' ? weighted.sum().div(weights.sum()) : reduced(weighted, reduction);
}

/** Cross entropy of truth values: of logits, or of probabilities with `withLogits` false (logarithms held above -100). */
export function binaryCrossEntropy(
  inputs: NDArray,
  targets: NDArray,
  { withLogits = true, reduction = 'mean' as Reduction } = {},
): NDArray {
  const loss = withLogits
    ? targets
        .mul(logSigmoid(inputs))
        .add(targets.neg().add(1).mul(logSigmoid(inputs.neg())))
        .neg()
    : targets
        .mul(inputs.log().maximum(-100))
        .add(targets.neg().add(1).mul(inputs.neg().log1p().maximum(-100)))
        .neg();
  return reduced(loss, reduction);
}

/** Mean of |prediction - target|. */
export const l1Loss = (prediction: NDArray, target: NDArray, reduction: Reduction = 'mean'): NDArray =>
  reduced(prediction.sub(target).abs(), reduction);
/** Mean of the squared difference. */
export const mseLoss = (prediction: NDArray, target: NDArray, reduction: Reduction = 'mean'): NDArray =>
  reduced(prediction.sub(target).square(), reduction);
/** Squared below `beta`, linear above: 0.5 d² / beta or d - beta / 2. */
export function smoothL1Loss(
  prediction: NDArray,
  target: NDArray,
  beta = 1,
  reduction: Reduction = 'mean',
): NDArray {
  const d = prediction.sub(target).abs();
  return reduced(where(d.lt(beta), d.square().mul(0.5 / beta), d.sub(0.5 * beta)), reduction);
}
/** 0.5 d² below `delta`, delta (d - delta / 2) above. */
export function huberLoss(
  prediction: NDArray,
  target: NDArray,
  delta = 1,
  reduction: Reduction = 'none',
): NDArray {
  const d = prediction.sub(target).abs();
  return reduced(where(d.le(delta), d.square().mul(0.5), d.sub(0.5 * delta).mul(delta)), reduction);
}
/** log cosh of the difference. */
export function logCoshLoss(prediction: NDArray, target: NDArray, reduction: Reduction = 'none'): NDArray {
  const d = prediction.sub(target).abs();
  return reduced(d.add(d.mul(-2).exp().log1p()).sub(Math.LN2), reduction);
}
/** -inputs[target] along the classes, for logarithms of probabilities. */
export function nllLoss(
  inputs: NDArray,
  targets: NDArray,
  axis = -1,
  reduction: Reduction = 'none',
): NDArray {
  const [at] = axisOf(inputs, axis, 'nllLoss');
  const ids = targets.reshape(inputs.shape.map((d, i) => (i === at ? 1 : d)));
  return reduced(takeAlongAxis(inputs, ids, at).reshape(targets.shape).neg(), reduction);
}
/** Kullback-Leibler divergence of logarithms of probabilities. */
export const klDivLoss = (
  inputs: NDArray,
  targets: NDArray,
  axis = -1,
  reduction: Reduction = 'none',
): NDArray => reduced(targets.exp().mul(targets.sub(inputs)).sum(axis), reduction);
/** max(0, 1 - inputs targets), for targets of -1 and 1. */
export const hingeLoss = (inputs: NDArray, targets: NDArray, reduction: Reduction = 'none'): NDArray =>
  reduced(inputs.mul(targets).neg().add(1).maximum(0), reduction);
/** Cosine of the angle between vectors along an axis. */
export function cosineSimilarityLoss(
  a: NDArray,
  b: NDArray,
  axis = 1,
  eps = 1e-8,
  reduction: Reduction = 'none',
): NDArray {
  const length = (x: NDArray): NDArray => x.square().sum(axis).sqrt();
  return reduced(
    a
      .mul(b)
      .sum(axis)
      .div(length(a).mul(length(b)).maximum(eps)),
    reduction,
  );
}
/** max(0, d(anchor, positive) - d(anchor, negative) + margin) with the p-norm along an axis. */
export function tripletLoss(
  anchor: NDArray,
  positive: NDArray,
  negative: NDArray,
  { axis = -1, p = 2, margin = 1, eps = 1e-6, reduction = 'none' as Reduction } = {},
): NDArray {
  const distance = (a: NDArray, b: NDArray): NDArray =>
    a
      .sub(b)
      .abs()
      .pow(p)
      .sum(axis)
      .add(eps)
      .pow(1 / p);
  return reduced(
    distance(anchor, positive).sub(distance(anchor, negative)).add(margin).maximum(0),
    reduction,
  );
}
/** max(0, -targets (a - b) + margin). */
export const marginRankingLoss = (
  a: NDArray,
  b: NDArray,
  targets: NDArray,
  margin = 0,
  reduction: Reduction = 'none',
): NDArray => reduced(targets.neg().mul(a.sub(b)).add(margin).maximum(0), reduction);
/** -log likelihood of a normal distribution. */
export function gaussianNllLoss(
  inputs: NDArray,
  targets: NDArray,
  variances: NDArray,
  { full = false, eps = 1e-6, reduction = 'mean' as Reduction } = {},
): NDArray {
  const v = variances.maximum(eps);
  const loss = v.log().add(targets.sub(inputs).square().div(v)).mul(0.5);
  return reduced(full ? loss.add(0.5 * Math.log(2 * Math.PI)) : loss, reduction);
}
