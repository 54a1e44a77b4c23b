// Normalisation, channels last.

import { type Given, named } from '../../array/arguments.ts';
import type { NDArray } from '../../array/array.ts';
import { variance } from '../../array/derived.ts';
import { stopGradient } from '../../array/ops/memory/identity.ts';
import { fixed } from '../../array/ops/operands.ts';
import { IngotError } from '../../base/errors.ts';
import { formatShape } from '../../base/shape.ts';
import { Module } from '../module.ts';
import { ones, zeros } from './initializers.ts';
import { divides, expectRank, expectWidth } from './shapes.ts';

export interface NormOptions {
  /** Added to the variance. Default 1e-5. */
  readonly eps?: number;
  /** Whether there is a weight. */
  readonly affine?: boolean;
  /** Whether there is a bias beside the weight. Default true. */
  readonly bias?: boolean;
}

const scaled = (x: NDArray, weight: NDArray | undefined, bias: NDArray | undefined): NDArray => {
  const y = weight === undefined ? x : x.mul(weight);
  return bias === undefined ? y : y.add(bias);
};

/** (x - mean) / sqrt(variance + eps) over axes. */
function normalised(x: NDArray, axes: number | readonly number[], eps: number): NDArray {
  const centred = x.sub(x.mean(axes, true));
  return centred.mul(centred.square().mean(axes, true).add(eps).rsqrt());
}

/** Over the last axis, `[…, dims]` (https://arxiv.org/abs/1607.06450). */
export class LayerNorm extends Module {
  weight: NDArray | undefined;
  bias: NDArray | undefined;
  readonly dims: number;
  readonly eps: number;

  constructor(dims: number, ...given: Given<[eps: number, affine: boolean, bias: boolean], NormOptions>) {
    super();
    const names = ['eps', 'affine', 'bias'] as const;
    const { eps = 1e-5, affine = true, bias = true } = named<NormOptions>('LayerNorm', names, given);
    this.dims = dims;
    this.eps = eps;
    this.weight = affine ? ones([dims]) : undefined;
    this.bias = affine && bias ? zeros([dims]) : undefined;
  }

  forward(x: NDArray): NDArray {
    expectWidth(x, this.dims, 'LayerNorm');
    return x.layerNorm(this.weight, this.bias, this.eps);
  }
}

/** x / sqrt(mean(x²) + eps) times `weight` over the last axis, `[…, dims]` (https://arxiv.org/abs/1910.07467). */
export class RMSNorm extends Module {
  weight: NDArray;
  readonly eps: number;

  constructor(dims: number, ...given: Given<[eps: number], { readonly eps?: number }>) {
    super();
    const { eps = 1e-5 } = named<{ readonly eps?: number }>('RMSNorm', ['eps'], given);
    this.eps = eps;
    this.weight = ones([dims]);
  }

  forward(x: NDArray): NDArray {
    expectWidth(x, this.weight.shape[0], 'RMSNorm');
    return x.rmsNorm(this.weight, this.eps);
  }
}

/** Over the axes between the batch and the channels: x `[N, …, dims]` (https://arxiv.org/abs/1607.08022). */
export class InstanceNorm extends Module {
  weight: NDArray | undefined;
  bias: NDArray | undefined;
  readonly dims: number;
  readonly eps: number;

  constructor(dims: number, ...given: Given<[eps: number, affine: boolean], NormOptions>) {
    super();
    const { eps = 1e-5, affine = false } = named<NormOptions>('InstanceNorm', ['eps', 'affine'], given);
    this.dims = dims;
    this.eps = eps;
    this.weight = affine ? ones([dims]) : undefined;
    this.bias = affine ? zeros([dims]) : undefined;
  }

  forward(x: NDArray): NDArray {
    expectRank(x, 3, 'InstanceNorm', '[N, …, channels]');
    expectWidth(x, this.dims, 'InstanceNorm');
    const axes = x.shape.map((_, i) => i).slice(1, -1);
    return scaled(normalised(x, axes, this.eps), this.weight, this.bias);
  }
}

export interface GroupNormOptions extends NormOptions {
  /** Groups are neighbouring channels as in PyTorch (true), or every `dims / groups`th one as in MLX (false, the default). */
  readonly pytorchCompatible?: boolean;
}

/** Over groups of channels of an example: x `[N, …, dims]` (https://arxiv.org/abs/1803.08494). */
export class GroupNorm extends Module {
  weight: NDArray | undefined;
  bias: NDArray | undefined;
  readonly groups: number;
  readonly dims: number;
  readonly eps: number;
  readonly pytorchCompatible: boolean;

  constructor(
    groups: number,
    dims: number,
    ...given: Given<[eps: number, affine: boolean, pytorchCompatible: boolean], GroupNormOptions>
  ) {
    super();
    const names = ['eps', 'affine', 'pytorchCompatible'] as const;
    const options = named<GroupNormOptions>('GroupNorm', names, given);
    const { eps = 1e-5, affine = true, pytorchCompatible = false } = options;
    divides(groups, dims, 'GroupNorm: groups');
    this.groups = groups;
    this.dims = dims;
    this.eps = eps;
    this.pytorchCompatible = pytorchCompatible;
    this.weight = affine ? ones([dims]) : undefined;
    this.bias = affine ? zeros([dims]) : undefined;
  }

  forward(x: NDArray): NDArray {
    expectRank(x, 2, 'GroupNorm', '[N, …, channels]');
    expectWidth(x, this.dims, 'GroupNorm');
    const { groups, dims } = this;
    const n = fixed(x.shape[0], 'GroupNorm');
    const places = x.shape.slice(1, -1).reduce<number>((p, d) => p * fixed(d, 'GroupNorm'), 1);
    const form = this.pytorchCompatible
      ? [n, places, groups, dims / groups]
      : [n, places, dims / groups, groups];
    const y = normalised(x.reshape(form), this.pytorchCompatible ? [1, 3] : [1, 2], this.eps);
    return scaled(y.reshape(x.shape), this.weight, this.bias);
  }
}

export interface BatchNormOptions {
  readonly eps?: number;
  readonly affine?: boolean;
  /** Part of a batch in the running numbers. Default 0.1. */
  readonly momentum?: number;
  /** Whether means and variances of batches are kept for evaluation. Default true. */
  readonly trackRunningStats?: boolean;
}

/** Over all axes but the channels: x `[N, dims]`, `[N, L, dims]` or `[N, H, W, dims]` (https://arxiv.org/abs/1502.03167). */
export class BatchNorm extends Module {
  weight: NDArray | undefined;
  bias: NDArray | undefined;
  runningMean: NDArray | undefined;
  /** Of batches divided by their number less one, as in PyTorch and MLX. */
  runningVar: NDArray | undefined;
  readonly dims: number;
  readonly eps: number;
  readonly momentum: number;

  constructor(
    dims: number,
    ...given: Given<
      [eps: number, momentum: number, affine: boolean, trackRunningStats: boolean],
      BatchNormOptions
    >
  ) {
    super();
    const names = ['eps', 'momentum', 'affine', 'trackRunningStats'] as const;
    const options = named<BatchNormOptions>('BatchNorm', names, given);
    const { eps = 1e-5, affine = true, momentum = 0.1, trackRunningStats = true } = options;
    this.dims = dims;
    this.eps = eps;
    this.momentum = momentum;
    this.weight = affine ? ones([dims]) : undefined;
    this.bias = affine ? zeros([dims]) : undefined;
    this.runningMean = trackRunningStats ? zeros([dims]) : undefined;
    this.runningVar = trackRunningStats ? ones([dims]) : undefined;
  }

  protected override get buffers(): readonly string[] {
    return ['runningMean', 'runningVar'];
  }

  forward(x: NDArray): NDArray {
    expectWidth(x, this.dims, 'BatchNorm');
    if (x.shape.length < 2 || x.shape.length > 4) {
      throw new IngotError(
        'shape_mismatch',
        `BatchNorm: x must have 2 to 4 axes, got ${formatShape(x.shape)}`,
      );
    }
    const { runningMean, runningVar, eps, momentum } = this;
    const axes = x.shape.map((_, i) => i).slice(0, -1);
    if (!this.training && runningMean !== undefined && runningVar !== undefined) {
      const y = x.sub(runningMean).mul(runningVar.add(eps).rsqrt());
      return scaled(y, this.weight, this.bias);
    }
    const [mean, spread] = [x.mean(axes), variance(x, axes)];
    if (this.training && runningMean !== undefined && runningVar !== undefined) {
      const count = x.shape.slice(0, -1).reduce<number>((p, d) => p * fixed(d, 'BatchNorm'), 1);
      const blend = (old: NDArray, now: NDArray): NDArray =>
        old.mul(1 - momentum).add(stopGradient(now).mul(momentum));
      this.update({
        runningMean: blend(runningMean, mean),
        runningVar: blend(runningVar, spread.mul(count / Math.max(1, count - 1))),
      });
    }
    return scaled(x.sub(mean).mul(spread.add(eps).rsqrt()), this.weight, this.bias);
  }
}
