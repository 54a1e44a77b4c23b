// Convolution and pooling, channels last: x `[N, …, C]`.

import { type Given, named } from '../../array/arguments.ts';
import type { NDArray } from '../../array/array.ts';
import { repeat } from '../../array/derived.ts';
import * as conv from '../../array/functions/convolution.ts';
import { IngotError } from '../../base/errors.ts';
import { formatShape } from '../../base/shape.ts';
import { Module } from '../module.ts';
import { uniform, zeros } from './initializers.ts';
import { divides, positive } from './shapes.ts';

type PerAxis = conv.PerAxis;

export interface ConvLayerOptions extends conv.ConvOptions {
  /** Whether something is added to each channel. Default true. */
  readonly bias?: boolean;
}
export type ConvLayerArguments = Given<
  [stride: PerAxis, padding: PerAxis, dilation: PerAxis, groups: number, bias: boolean],
  ConvLayerOptions
>;
const layerOptions = (what: string, given: ConvLayerArguments): ConvLayerOptions =>
  named<ConvLayerOptions>(what, ['stride', 'padding', 'dilation', 'groups', 'bias'], given);

const kernelOf = (kernel: PerAxis, axes: number, layer: string): readonly number[] => {
  const sizes = typeof kernel === 'number' ? Array.from({ length: axes }, () => kernel) : kernel;
  if (sizes.length !== axes) {
    throw new IngotError(
      'invalid_argument',
      `${layer}: kernel [${kernel}] must be a number or ${axes} of them`,
    );
  }
  return sizes.map((k) => positive(k, `${layer}: kernel`));
};

/** What the convolutions share: weights `[outputs, kernel…, inputs / groups]`, uniform within ±1 / sqrt(elements that meet an output). */
abstract class Convolution<O extends conv.ConvOptions> extends Module {
  weight: NDArray;
  bias: NDArray | undefined;
  readonly options: O;

  constructor(
    axes: number,
    {
      inputs,
      outputs,
      kernel,
    }: { readonly inputs: number; readonly outputs: number; readonly kernel: PerAxis },
    { bias = true, ...options }: O & { readonly bias?: boolean },
  ) {
    super();
    const layer = new.target.name;
    const groups = options.groups ?? 1;
    divides(groups, inputs, `${layer}: groups`);
    divides(groups, outputs, `${layer}: groups`);
    const shape = [outputs, ...kernelOf(kernel, axes, layer), inputs / groups];
    const limit = 1 / Math.sqrt(shape.slice(1).reduce((p, d) => p * d, 1));
    this.weight = uniform(-limit, limit)(shape);
    this.bias = bias ? zeros([outputs]) : undefined;
    this.options = options as unknown as O;
  }

  protected biased(y: NDArray): NDArray {
    return this.bias === undefined ? y : y.add(this.bias);
  }
}

/** x `[N, L, inputs]` -> `[N, L', outputs]`. */
export class Conv1d extends Convolution<conv.ConvOptions> {
  constructor(inputs: number, outputs: number, kernel: PerAxis, ...given: ConvLayerArguments) {
    super(1, { inputs, outputs, kernel }, layerOptions('Conv1d', given));
  }
  forward(x: NDArray): NDArray {
    return this.biased(conv.conv1d(x, this.weight, this.options));
  }
}
/** x `[N, H, W, inputs]` -> `[N, H', W', outputs]`. */
export class Conv2d extends Convolution<conv.ConvOptions> {
  constructor(inputs: number, outputs: number, kernel: PerAxis, ...given: ConvLayerArguments) {
    super(2, { inputs, outputs, kernel }, layerOptions('Conv2d', given));
  }
  forward(x: NDArray): NDArray {
    return this.biased(conv.conv2d(x, this.weight, this.options));
  }
}
/** x `[N, D, H, W, inputs]` -> `[N, D', H', W', outputs]`. */
export class Conv3d extends Convolution<conv.ConvOptions> {
  constructor(inputs: number, outputs: number, kernel: PerAxis, ...given: ConvLayerArguments) {
    super(3, { inputs, outputs, kernel }, layerOptions('Conv3d', given));
  }
  forward(x: NDArray): NDArray {
    return this.biased(conv.conv3d(x, this.weight, this.options));
  }
}

export interface ConvTransposeLayerOptions extends conv.ConvTransposeOptions {
  readonly bias?: boolean;
}
export type ConvTransposeLayerArguments = Given<
  [stride: PerAxis, padding: PerAxis, dilation: PerAxis, outputPadding: PerAxis, bias: boolean],
  ConvTransposeLayerOptions
>;
const transposedOptions = (what: string, given: ConvTransposeLayerArguments): ConvTransposeLayerOptions =>
  named<ConvTransposeLayerOptions>(what, ['stride', 'padding', 'dilation', 'outputPadding', 'bias'], given, [
    'groups',
  ]);

/** The transpose of Conv1d: x `[N, L, inputs]`. */
export class ConvTranspose1d extends Convolution<conv.ConvTransposeOptions> {
  constructor(inputs: number, outputs: number, kernel: PerAxis, ...given: ConvTransposeLayerArguments) {
    super(1, { inputs, outputs, kernel }, transposedOptions('ConvTranspose1d', given));
  }
  forward(x: NDArray): NDArray {
    return this.biased(conv.convTranspose1d(x, this.weight, this.options));
  }
}
export class ConvTranspose2d extends Convolution<conv.ConvTransposeOptions> {
  constructor(inputs: number, outputs: number, kernel: PerAxis, ...given: ConvTransposeLayerArguments) {
    super(2, { inputs, outputs, kernel }, transposedOptions('ConvTranspose2d', given));
  }
  forward(x: NDArray): NDArray {
    return this.biased(conv.convTranspose2d(x, this.weight, this.options));
  }
}
export class ConvTranspose3d extends Convolution<conv.ConvTransposeOptions> {
  constructor(inputs: number, outputs: number, kernel: PerAxis, ...given: ConvTransposeLayerArguments) {
    super(3, { inputs, outputs, kernel }, transposedOptions('ConvTranspose3d', given));
  }
  forward(x: NDArray): NDArray {
    return this.biased(conv.convTranspose3d(x, this.weight, this.options));
  }
}

type Pool = (x: NDArray, kernel: PerAxis, options: conv.PoolOptions) => NDArray;

/** A layer of windows. */
interface PoolLayer extends Module {
  readonly kernel: PerAxis;
  readonly options: conv.PoolOptions;
  forward(x: NDArray): NDArray;
}

type PoolArguments = Given<[stride: PerAxis, padding: PerAxis], conv.PoolOptions>;

function poolLayer(pool: Pool): new (kernel: PerAxis, ...given: PoolArguments) => PoolLayer {
  return class extends Module {
    readonly kernel: PerAxis;
    readonly options: conv.PoolOptions;

    /** Windows of `kernel` elements; the stride is the kernel's size by default. */
    constructor(kernel: PerAxis, ...given: PoolArguments) {
      super();
      const options = named<conv.PoolOptions>('pooling', ['stride', 'padding'], given);
      this.kernel = kernel;
      this.options = options;
    }

    forward(x: NDArray): NDArray {
      return pool(x, this.kernel, this.options);
    }
  };
}

/** Largest element of each window of x `[N, …, C]`; padding counts as -infinity. */
export class MaxPool1d extends poolLayer(conv.maxPool1d) {}
export class MaxPool2d extends poolLayer(conv.maxPool2d) {}
export class MaxPool3d extends poolLayer(conv.maxPool3d) {}
/** Mean of each window of x `[N, …, C]`; padding counts as 0. */
export class AvgPool1d extends poolLayer(conv.avgPool1d) {}
export class AvgPool2d extends poolLayer(conv.avgPool2d) {}
export class AvgPool3d extends poolLayer(conv.avgPool3d) {}

/** Each element of the axes between batch and channels repeated: x `[N, …, C]`. */
export class Upsample extends Module {
  readonly scale: PerAxis;

  /** Whole factors, one for all axes or one for each. */
  constructor(scale: PerAxis) {
    super();
    this.scale = scale;
  }

  forward(x: NDArray): NDArray {
    const axes = x.shape.length - 2;
    if (axes < 1)
      throw new IngotError('shape_mismatch', `Upsample: x must be [N, …, C], got ${formatShape(x.shape)}`);
    return kernelOf(this.scale, axes, 'Upsample').reduce<NDArray>((y, k, i) => repeat(y, k, i + 1), x);
  }
}
