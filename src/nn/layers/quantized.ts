// Layers over packed matrices, for running a model: the weights are constants of 2 to 8 bits, and gradients flow through to the input.

import type { NDArray } from '../../array/array.ts';
import { currentDevice } from '../../array/context.ts';
import { evaluate, fromData } from '../../array/creation.ts';
import { quantize as affineCodes } from '../../array/functions/quantized.ts';
import { embedding } from '../../array/ops/linear/embedding.ts';
import { linear } from '../../array/ops/linear/linear.ts';
import { fixed } from '../../array/ops/operands.ts';
import { Weight } from '../../array/weight.ts';
import { IngotError } from '../../base/errors.ts';
import { sameShape } from '../../base/shape.ts';
import type { KernelPrecision } from '../../kernel/signature.ts';
import { mlxFormat, wordsParts } from '../../quant/formats/words.ts';
import { type AffineBits, affineBits, quantizedSpec } from '../../quant/layout.ts';
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
export abstract class Packed extends Module {
  #weight: Weight;

  constructor(weight: Weight) {
    super();
    this.#weight = weight;
  }

  get weight(): Weight {
    return this.#weight;
  }

  /** Takes another matrix of the same shape; the old one is freed. Throws shape_mismatch. */
  take(weight: Weight): void {
    if (!sameShape(weight.shape, this.#weight.shape)) {
      throw new IngotError(
        'shape_mismatch',
        `${this.constructor.name}: a matrix of [${this.#weight.shape}] is needed, got [${weight.shape}]`,
      );
    }
    this.#weight.dispose();
    this.#weight = weight;
  }

  protected override release(): void {
    this.#weight.dispose();
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
  return packBytes(bytes, { bits, groupSize, rows, columns });
}

interface PackedSize {
  readonly bits: AffineBits;
  readonly groupSize: number;
  readonly rows: number;
  readonly columns: number;
}

function packBytes(bytes: readonly Uint8Array[], { bits, groupSize, rows, columns }: PackedSize): Weight {
  const format = mlxFormat(bits, groupSize, 'f32');
  const packed = packReference(format, bytes, rows, columns);
  return Weight.fromPacked(currentDevice(), packed, format.layout, [rows, columns]);
}

/** How MLX stores a quantised matrix: `weight` u32 [N, K bits / 32], `scales` and `biases` f32 [N, K / groupSize]. */
export interface QuantizedParts {
  readonly weight: NDArray;
  readonly scales: NDArray;
  readonly biases: NDArray;
}

/** The parts of a layer's matrix. */
export async function quantizedParts({ weight }: Packed): Promise<QuantizedParts> {
  const [rows, columns] = weight.shape as readonly [number, number];
  const { group } = weight.layout;
  const bits = quantizedSpec(weight.layout.kind)?.bits as AffineBits;
  const [codes, scales, biases] = wordsParts(
    mlxFormat(bits, group, 'f32'),
    await weight.read(),
    rows,
    columns,
  ) as [Uint8Array, Uint8Array, Uint8Array];
  return {
    weight: fromData(new Uint32Array(codes.buffer), [rows, (columns * bits) / 32]),
    scales: fromData(new Float32Array(scales.buffer), [rows, columns / group]),
    biases: fromData(new Float32Array(biases.buffer), [rows, columns / group]),
  };
}

/** A matrix of parts, whose bits and group follow from the number of columns. Rejects with shape_mismatch when they do not fit. */
export async function weightOfParts(parts: QuantizedParts, columns: number, what: string): Promise<Weight> {
  const [rows, words] = parts.weight.shape as readonly [number, number];
  const groups = parts.scales.shape[1] as number;
  const bits = ((words * 32) / columns) as AffineBits;
  const groupSize = columns / groups;
  if (!affineBits.includes(bits) || !Number.isInteger(groupSize) || parts.scales.shape[0] !== rows) {
    throw new IngotError(
      'shape_mismatch',
      `${what}: weight [${parts.weight.shape}] with scales [${parts.scales.shape}] is no matrix of ${columns} columns`,
    );
  }
  const data = [parts.weight, parts.scales.cast('f32'), parts.biases.cast('f32')];
  const bytes = await Promise.all(
    data.map(async (p) => {
      const { buffer, byteOffset, byteLength } = await p.data();
      return new Uint8Array(buffer, byteOffset, byteLength);
    }),
  );
  return packBytes(bytes, { bits, groupSize, rows, columns });
}
