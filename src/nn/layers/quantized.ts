// Layers over packed matrices, for running a model: the weights are constants of 2 to 8 bits, and gradients flow through to the input.

import type { NDArray } from '../../array/array.ts';
import { currentDevice } from '../../array/context.ts';
import { evaluate } from '../../array/creation.ts';
import { quantize as affineCodes } from '../../array/functions/quantized.ts';
import { embedding } from '../../array/ops/linear/embedding.ts';
import { linear } from '../../array/ops/linear/linear.ts';
import { fixed } from '../../array/ops/operands.ts';
import { Weight } from '../../array/weight.ts';
import { IngotError } from '../../base/errors.ts';
import type { KernelPrecision } from '../../kernel/signature.ts';
import { mlxFormat } from '../../quant/formats/words.ts';
import { packReference } from '../../quant/reference.ts';
import { Module } from '../module.ts';
import { Embedding } from './embedding.ts';
import { Linear } from './linear.ts';
import { expectWidth } from './shapes.ts';

export interface QuantizeModuleOptions {
  /** Elements that share a scale: 32, 64 (default) or 128. */
  readonly groupSize?: 32 | 64 | 128;
  /** Default 4. */
  readonly bits?: 2 | 4 | 8;
  /** `fast` (the default) may round activations to 8 bits, `exact` does not. */
  readonly precision?: KernelPrecision;
  /** Which layers; default those whose width divides into groups. */
  readonly filter?: (path: string, module: Linear | Embedding) => boolean;
}

/** A layer of this kind keeps a packed matrix, which dispose() frees. */
abstract class Packed extends Module {
  readonly weight: Weight;

  constructor(weight: Weight) {
    super();
    this.weight = weight;
  }

  protected override release(): void {
    this.weight.dispose();
  }
}

/** y = x Wᵀ + b with packed W `[outputs, inputs]`. */
export class QuantizedLinear extends Packed {
  bias: NDArray | undefined;
  readonly precision: KernelPrecision;

  constructor(
    weight: Weight,
    options: { readonly bias?: NDArray | undefined; readonly precision?: KernelPrecision } = {},
  ) {
    super(weight);
    this.bias = options.bias;
    this.precision = options.precision ?? 'fast';
  }

  forward(x: NDArray): NDArray {
    expectWidth(x, this.weight.shape[1], 'QuantizedLinear');
    const { bias, precision } = this;
    return linear(x, this.weight, bias === undefined ? { precision } : { bias, precision });
  }

  /** The layer of a Linear's numbers, rounded. Throws shape_mismatch when the inputs do not divide into groups. */
  static async from(layer: Linear, options: QuantizeModuleOptions = {}): Promise<QuantizedLinear> {
    const { precision = 'fast' } = options;
    return new QuantizedLinear(await pack(layer.weight, options), { bias: layer.bias, precision });
  }
}

/** Rows of a packed matrix by id. */
export class QuantizedEmbedding extends Packed {
  forward(ids: NDArray): NDArray {
    const count = ids.shape.reduce<number>((p, d) => p * fixed(d, 'QuantizedEmbedding'), 1);
    const rows = embedding(ids.cast('i32').reshape([count]), this.weight);
    return rows.reshape([...ids.shape, this.weight.shape[1] as number]);
  }

  /** x Wᵀ, for heads that share the table. */
  asLinear(x: NDArray): NDArray {
    expectWidth(x, this.weight.shape[1], 'QuantizedEmbedding.asLinear');
    return linear(x, this.weight, { precision: 'fast' });
  }

  /** The layer of an Embedding's numbers, rounded. */
  static async from(layer: Embedding, options: QuantizeModuleOptions = {}): Promise<QuantizedEmbedding> {
    return new QuantizedEmbedding(await pack(layer.weight, options));
  }
}

/**
 * Replaces every Linear and Embedding below `module` by a quantised one (codes as MLX makes them, packed for the kernels) and frees what they had,
 * biases excepted. Throws invalid_argument when nothing was replaced.
 */
export async function quantize<M extends Module>(module: M, options: QuantizeModuleOptions = {}): Promise<M> {
  const { groupSize = 64, filter = () => true } = options;
  let replaced = 0;
  for (const [path, layer] of [...module.namedModules()]) {
    if (path === '' || !(layer instanceof Linear || layer instanceof Embedding)) continue;
    if (fixed(layer.weight.shape[1], 'quantize') % groupSize !== 0 || !filter(path, layer)) continue;
    const isLinear = layer instanceof Linear;
    const packed = isLinear
      ? await QuantizedLinear.from(layer, options)
      : await QuantizedEmbedding.from(layer, options);
    module.replace(path, packed);
    layer.weight.dispose();
    replaced++;
  }
  if (replaced > 0) return module;
  throw new IngotError(
    'invalid_argument',
    `quantize: ${module.constructor.name} has no Linear or Embedding below it whose width is a multiple of ${groupSize}`,
  );
}

async function pack(weight: NDArray, { groupSize = 64, bits = 4 }: QuantizeModuleOptions): Promise<Weight> {
  const [rows, columns] = weight.shape.map((d) => fixed(d, 'quantize')) as [number, number];
  const parts = affineCodes(weight.cast('f32'), { groupSize, bits });
  await evaluate(...parts);
  const bytes = await Promise.all(
    parts.map(async (p) => {
      const { buffer, byteOffset, byteLength } = await p.data();
      return new Uint8Array(buffer, byteOffset, byteLength);
    }),
  );
  for (const p of parts) p.dispose();
  const format = mlxFormat(bits, groupSize, 'f32');
  return Weight.fromPacked(currentDevice(), packReference(format, bytes, rows, columns), format.layout, [
    rows,
    columns,
  ]);
}
