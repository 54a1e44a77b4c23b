// Losses: differences of predictions and targets, one for each place, or their mean or sum. What is the default is MLX's default.

import { IngotError } from '../../base/errors.ts';
import { formatShape } from '../../base/shape.ts';
import { type Given, named } from '../arguments.ts';
import type { NDArray } from '../array.ts';
import { logSigmoid, logSumExp } from '../derived.ts';
import { where } from '../ops/elementwise/where.ts';
import { takeAlongAxis } from '../ops/indexing/take-along-axis.ts';
import { axisOf } from './terms.ts';

export type Reduction = 'none' | 'mean' | 'sum';

function reduced(loss: NDArray, reduction: Reduction): NDArray {
  if (reduction === 'none') return loss;
  if (reduction === 'sum') return loss.sum();
  if (reduction === 'mean') return loss.mean();
  throw new IngotError('invalid_argument', `loss: reduction '${reduction}' is none of none, mean, sum`);
}

export interface ReductionOptions {
  readonly reduction?: Reduction;
}
type Last = Given<[reduction: Reduction], ReductionOptions>;
const reductionOf = (what: string, given: Last, byDefault: Reduction): Reduction =>
  named<ReductionOptions>(what, ['reduction'], given).reduction ?? byDefault;

/** Throws shape_mismatch unless the arrays have one shape. */
function sameShapes(what: string, ...arrays: readonly NDArray[]): void {
  const [first, ...rest] = arrays.map((x) => formatShape(x.shape));
  const odd = rest.find((shape) => shape !== first);
  if (odd === undefined) return;
  throw new IngotError('shape_mismatch', `${what}: shapes ${first} and ${odd} must be the same`);
}

export interface CrossEntropyOptions {
  readonly axis?: number;
  /** A factor for each place. */
  readonly weights?: NDArray;
  /** Part of the probability that is spread over all classes. */
  readonly labelSmoothing?: number;
  readonly reduction?: Reduction;
}

/** -log softmax(logits) of the target classes: indices, or probabilities in the shape of the logits. One for each place by default. */
export function crossEntropy(
  logits: NDArray,
  targets: NDArray,
  ...given: Given<
    [weights: NDArray, axis: number, labelSmoothing: number, reduction: Reduction],
    CrossEntropyOptions
  >
): NDArray {
  const names = ['weights', 'axis', 'labelSmoothing', 'reduction'] as const;
  const options = named<CrossEntropyOptions>('crossEntropy', names, given);
  const { axis = -1, weights, labelSmoothing = 0, reduction = 'none' } = options;
  if (!(labelSmoothing >= 0 && labelSmoothing < 1)) {
    const message = `crossEntropy: labelSmoothing ${labelSmoothing} is not from 0 to below 1`;
    throw new IngotError('invalid_argument', message);
  }
  const [at, classes] = axisOf(logits, axis, 'crossEntropy');
  const places = logits.shape.filter((_, i) => i !== at);
  const probabilities = targets.shape.length === logits.shape.length;
  if (formatShape(targets.shape) !== formatShape(probabilities ? logits.shape : places)) {
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
  return reduced(weighed('crossEntropy', loss, weights), reduction);
}

function weighed(what: string, loss: NDArray, weights: NDArray | undefined): NDArray {
  if (weights === undefined) return loss;
  sameShapes(`${what}: loss and weights`, loss, weights);
  return loss.mul(weights);
}

export interface BinaryCrossEntropyOptions extends ReductionOptions {
  /** A factor for each place. */
  readonly weights?: NDArray;
  /** Default true. */
  readonly withLogits?: boolean;
}

/** Cross entropy of truth values: of logits, or of probabilities with `withLogits` false (logarithms held above -100). */
export function binaryCrossEntropy(
  inputs: NDArray,
  targets: NDArray,
  ...given: Given<[weights: NDArray, withLogits: boolean, reduction: Reduction], BinaryCrossEntropyOptions>
): NDArray {
  const names = ['weights', 'withLogits', 'reduction'] as const;
  const options = named<BinaryCrossEntropyOptions>('binaryCrossEntropy', names, given);
  const { weights, withLogits = true, reduction = 'mean' } = options;
  sameShapes('binaryCrossEntropy', inputs, targets);
  const loss = withLogits
    ? targets
        .mul(logSigmoid(inputs))
        .add(targets.neg().add(1).mul(logSigmoid(inputs.neg())))
        .neg()
    : targets
        .mul(inputs.log().maximum(-100))
        .add(targets.neg().add(1).mul(inputs.neg().log1p().maximum(-100)))
        .neg();
  return reduced(weighed('binaryCrossEntropy', loss, weights), reduction);
}

/** Mean of |prediction - target|. */
export function l1Loss(prediction: NDArray, target: NDArray, ...given: Last): NDArray {
  sameShapes('l1Loss', prediction, target);
  return reduced(prediction.sub(target).abs(), reductionOf('l1Loss', given, 'mean'));
}
/** Mean of the squared difference. */
export function mseLoss(prediction: NDArray, target: NDArray, ...given: Last): NDArray {
  sameShapes('mseLoss', prediction, target);
  return reduced(prediction.sub(target).square(), reductionOf('mseLoss', given, 'mean'));
}
/** Squared below `beta`, linear above: 0.5 d² / beta or d - beta / 2. */
export function smoothL1Loss(
  prediction: NDArray,
  target: NDArray,
  ...given: Given<[beta: number, reduction: Reduction], ReductionOptions & { readonly beta?: number }>
): NDArray {
  const { beta = 1, reduction = 'mean' } = named<ReductionOptions & { readonly beta?: number }>(
    'smoothL1Loss',
    ['beta', 'reduction'],
    given,
  );
  sameShapes('smoothL1Loss', prediction, target);
  const d = prediction.sub(target).abs();
  return reduced(where(d.lt(beta), d.square().mul(0.5 / beta), d.sub(0.5 * beta)), reduction);
}
/** 0.5 d² below `delta`, delta (d - delta / 2) above. */
export function huberLoss(
  prediction: NDArray,
  target: NDArray,
  ...given: Given<[delta: number, reduction: Reduction], ReductionOptions & { readonly delta?: number }>
): NDArray {
  const { delta = 1, reduction = 'none' } = named<ReductionOptions & { readonly delta?: number }>(
    'huberLoss',
    ['delta', 'reduction'],
    given,
  );
  const d = prediction.sub(target).abs();
  return reduced(where(d.le(delta), d.square().mul(0.5), d.sub(0.5 * delta).mul(delta)), reduction);
}
/** log cosh of the difference. */
export function logCoshLoss(prediction: NDArray, target: NDArray, ...given: Last): NDArray {
  const d = prediction.sub(target).abs();
  return reduced(d.add(d.mul(-2).exp().log1p()).sub(Math.LN2), reductionOf('logCoshLoss', given, 'none'));
}
export interface AxisOptions extends ReductionOptions {
  /** Of the classes; default the last. */
  readonly axis?: number;
}
type AxisLast = Given<[axis: number, reduction: Reduction], AxisOptions>;

/** -inputs[target] along the classes, for logarithms of probabilities. */
export function nllLoss(inputs: NDArray, targets: NDArray, ...given: AxisLast): NDArray {
  const { axis = -1, reduction = 'none' } = named<AxisOptions>('nllLoss', ['axis', 'reduction'], given);
  const [at] = axisOf(inputs, axis, 'nllLoss');
  const ids = targets.reshape(inputs.shape.map((d, i) => (i === at ? 1 : d)));
  return reduced(takeAlongAxis(inputs, ids, at).reshape(targets.shape).neg(), reduction);
}
/** Kullback-Leibler divergence of logarithms of probabilities. */
export function klDivLoss(inputs: NDArray, targets: NDArray, ...given: AxisLast): NDArray {
  const { axis = -1, reduction = 'none' } = named<AxisOptions>('klDivLoss', ['axis', 'reduction'], given);
  return reduced(targets.exp().mul(targets.sub(inputs)).sum(axis), reduction);
}
/** max(0, 1 - inputs targets), for targets of -1 and 1. */
export const hingeLoss = (inputs: NDArray, targets: NDArray, ...given: Last): NDArray =>
  reduced(inputs.mul(targets).neg().add(1).maximum(0), reductionOf('hingeLoss', given, 'none'));
/** Cosine of the angle between vectors along an axis. */
export function cosineSimilarityLoss(
  a: NDArray,
  b: NDArray,
  ...given: Given<
    [axis: number, eps: number, reduction: Reduction],
    ReductionOptions & { readonly axis?: number; readonly eps?: number }
  >
): NDArray {
  const {
    axis = 1,
    eps = 1e-8,
    reduction = 'none',
  } = named<ReductionOptions & { readonly axis?: number; readonly eps?: number }>(
    'cosineSimilarityLoss',
    ['axis', 'eps', 'reduction'],
    given,
  );
  const length = (x: NDArray): NDArray => x.square().sum(axis).sqrt();
  return reduced(
    a
      .mul(b)
      .sum(axis)
      .div(length(a).mul(length(b)).maximum(eps)),
    reduction,
  );
}
export interface TripletOptions extends ReductionOptions {
  readonly axis?: number;
  /** Degree of the norm. Default 2. */
  readonly p?: number;
  /** Default 1. */
  readonly margin?: number;
  /** Added to the sum of powers. Default 1e-6. */
  readonly eps?: number;
}

/** max(0, d(anchor, positive) - d(anchor, negative) + margin) with the p-norm along an axis. */
export function tripletLoss(
  anchor: NDArray,
  positive: NDArray,
  negative: NDArray,
  ...given: Given<
    [axis: number, p: number, margin: number, eps: number, reduction: Reduction],
    TripletOptions
  >
): NDArray {
  const names = ['axis', 'p', 'margin', 'eps', 'reduction'] as const;
  const options = named<TripletOptions>('tripletLoss', names, given);
  const { axis = -1, p = 2, margin = 1, eps = 1e-6, reduction = 'none' } = options;
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
export function marginRankingLoss(
  a: NDArray,
  b: NDArray,
  targets: NDArray,
  ...given: Given<[margin: number, reduction: Reduction], ReductionOptions & { readonly margin?: number }>
): NDArray {
  const { margin = 0, reduction = 'none' } = named<ReductionOptions & { readonly margin?: number }>(
    'marginRankingLoss',
    ['margin', 'reduction'],
    given,
  );
  sameShapes('marginRankingLoss', a, b, targets);
  return reduced(targets.neg().mul(a.sub(b)).add(margin).maximum(0), reduction);
}
export interface GaussianNllOptions extends ReductionOptions {
  /** Adds log(2 π) / 2. Default false. */
  readonly full?: boolean;
  /** The least variance. Default 1e-6. */
  readonly eps?: number;
}

/** -log likelihood of a normal distribution. */
export function gaussianNllLoss(
  inputs: NDArray,
  targets: NDArray,
  variances: NDArray,
  ...given: Given<[full: boolean, eps: number, reduction: Reduction], GaussianNllOptions>
): NDArray {
  const names = ['full', 'eps', 'reduction'] as const;
  const options = named<GaussianNllOptions>('gaussianNllLoss', names, given);
  const { full = false, eps = 1e-6, reduction = 'mean' } = options;
  sameShapes('gaussianNllLoss', inputs, targets, variances);
  const v = variances.maximum(eps);
  const loss = v.log().add(targets.sub(inputs).square().div(v)).mul(0.5);
  return reduced(full ? loss.add(0.5 * Math.log(2 * Math.PI)) : loss, reduction);
}
