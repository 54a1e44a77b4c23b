// Attention and transformers (https://arxiv.org/abs/1706.03762), x `[batch, length, dims]`.

import { type Given, named } from '../../array/arguments.ts';
import type { NDArray } from '../../array/array.ts';
import { arange } from '../../array/creation.ts';
import { relu } from '../../array/derived.ts';
import { type AttentionSettings, scaledDotProductAttention } from '../../array/functions/fast.ts';
import { where } from '../../array/ops/elementwise/where.ts';
import { fixed } from '../../array/ops/operands.ts';
import { Module } from '../module.ts';
import { Dropout } from './dropout.ts';
import { Linear } from './linear.ts';
import { LayerNorm } from './norms.ts';
import { divides } from './shapes.ts';

/** As scaledDotProductAttention takes it: truth values (true is seen), numbers added to scores, or `causal`. */
export type Mask = NonNullable<AttentionSettings['mask']>;

export interface MultiHeadAttentionOptions {
  /** Widths of what comes in; default `dims`. */
  readonly queryInputDims?: number;
  readonly keyInputDims?: number;
  readonly valueInputDims?: number;
  /** Width of all heads' values together; default `dims`. */
  readonly valueDims?: number;
  /** Width of the result; default `dims`. */
  readonly valueOutputDims?: number;
  /** Default false. */
  readonly bias?: boolean;
}

/** Rows of queries take weighted sums of values, for several heads at once. */
export class MultiHeadAttention extends Module {
  readonly numHeads: number;
  queryProj: Linear;
  keyProj: Linear;
  valueProj: Linear;
  outProj: Linear;

  constructor(
    dims: number,
    numHeads: number,
    ...given: Given<
      [
        queryInputDims: number,
        keyInputDims: number,
        valueInputDims: number,
        valueDims: number,
        valueOutputDims: number,
        bias: boolean,
      ],
      MultiHeadAttentionOptions
    >
  ) {
    super();
    const names = [
      'queryInputDims',
      'keyInputDims',
      'valueInputDims',
      'valueDims',
      'valueOutputDims',
    ] as const;
    const options = named<MultiHeadAttentionOptions>('MultiHeadAttention', [...names, 'bias'], given);
    const { queryInputDims = dims, keyInputDims = dims, valueInputDims = keyInputDims } = options;
    const { valueDims = dims, valueOutputDims = dims, bias = false } = options;
    divides(numHeads, dims, 'MultiHeadAttention: numHeads');
    divides(numHeads, valueDims, 'MultiHeadAttention: numHeads');
    this.numHeads = numHeads;
    this.queryProj = new Linear(queryInputDims, dims, { bias });
    this.keyProj = new Linear(keyInputDims, dims, { bias });
    this.valueProj = new Linear(valueInputDims, valueDims, { bias });
    this.outProj = new Linear(valueDims, valueOutputDims, { bias });
  }

  /** `[B, L, …]`, `[B, S, …]`, `[B, S, …]` -> `[B, L, valueOutputDims]`. Keys default to the queries, values to the keys. */
  forward(queries: NDArray, keys: NDArray = queries, values: NDArray = keys, mask?: Mask): NDArray {
    const q = this.#heads(this.queryProj.forward(queries));
    const k = this.#heads(this.keyProj.forward(keys));
    const v = this.#heads(this.valueProj.forward(values));
    const y = scaledDotProductAttention(q, k, v, mask === undefined ? {} : { mask });
    const [B, , L] = y.shape.map((d) => fixed(d, 'MultiHeadAttention')) as [number, number, number];
    return this.outProj.forward(y.transpose([0, 2, 1, 3]).reshape([B, L, -1]));
  }

  #heads(x: NDArray): NDArray {
    const [B = 0, L = 0] = x.shape;
    return x.reshape([B, L, this.numHeads, -1]).transpose([0, 2, 1, 3]);
  }

  /** Numbers `[n, n]` to add to scores so that a row sees itself and those before. */
  static createAdditiveCausalMask(n: number): NDArray {
    const seen = arange(n)
      .reshape([1, n])
      .le(arange(n).reshape([n, 1]));
    return where(seen, 0, -1e9).cast('f32');
  }
}

export interface TransformerLayerOptions {
  /** Width inside the feed-forward part; default 4 dims. */
  readonly mlpDims?: number;
  readonly dropout?: number;
  /** Default relu. */
  readonly activation?: (x: NDArray) => NDArray;
  /** Whether norms come before attention and feed-forward (default) or after the sum. */
  readonly normFirst?: boolean;
}

/** The feed-forward part, which encoder and decoder layers share. */
abstract class TransformerLayer extends Module {
  ln1: LayerNorm;
  ln2: LayerNorm;
  linear1: Linear;
  linear2: Linear;
  dropout1: Dropout;
  dropout2: Dropout;
  readonly activation: (x: NDArray) => NDArray;
  readonly normFirst: boolean;

  constructor(dims: number, options: TransformerLayerOptions) {
    super();
    const { mlpDims = 4 * dims, dropout = 0, activation = relu, normFirst = true } = options;
    this.ln1 = new LayerNorm(dims);
    this.ln2 = new LayerNorm(dims);
    this.linear1 = new Linear(dims, mlpDims);
    this.linear2 = new Linear(mlpDims, dims);
    this.dropout1 = new Dropout(dropout);
    this.dropout2 = new Dropout(dropout);
    this.activation = activation;
    this.normFirst = normFirst;
  }

  /** x with what `part` makes of it added; the norm is before `part` or after the sum. */
  protected residual(
    x: NDArray,
    norm: LayerNorm,
    dropout: Dropout | undefined,
    part: (y: NDArray) => NDArray,
  ): NDArray {
    const y = part(this.normFirst ? norm.forward(x) : x);
    const sum = x.add(dropout === undefined ? y : dropout.forward(y));
    return this.normFirst ? sum : norm.forward(sum);
  }

  protected feedForward(x: NDArray, dropout: Dropout): NDArray {
    return this.linear2.forward(dropout.forward(this.activation(this.linear1.forward(x))));
  }
}

export class TransformerEncoderLayer extends TransformerLayer {
  attention: MultiHeadAttention;

  constructor(dims: number, numHeads: number, options: TransformerLayerOptions = {}) {
    super(dims, options);
    this.attention = new MultiHeadAttention(dims, numHeads);
  }

  forward(x: NDArray, mask?: Mask): NDArray {
    const y = this.residual(x, this.ln1, this.dropout1, (z) => this.attention.forward(z, z, z, mask));
    return this.residual(y, this.ln2, undefined, (z) => this.feedForward(z, this.dropout2));
  }
}

export class TransformerDecoderLayer extends TransformerLayer {
  selfAttention: MultiHeadAttention;
  crossAttention: MultiHeadAttention;
  ln3: LayerNorm;
  dropout3: Dropout;

  constructor(dims: number, numHeads: number, options: TransformerLayerOptions = {}) {
    super(dims, options);
    this.selfAttention = new MultiHeadAttention(dims, numHeads);
    this.crossAttention = new MultiHeadAttention(dims, numHeads);
    this.ln3 = new LayerNorm(dims);
    this.dropout3 = new Dropout(options.dropout ?? 0);
  }

  /** x attends to itself under `mask`, then to `memory` under `memoryMask`. */
  forward(x: NDArray, memory: NDArray, mask?: Mask, memoryMask?: Mask): NDArray {
    const y = this.residual(x, this.ln1, this.dropout1, (z) => this.selfAttention.forward(z, z, z, mask));
    const across = this.residual(y, this.ln2, this.dropout2, (z) =>
      this.crossAttention.forward(z, memory, memory, memoryMask),
    );
    return this.residual(across, this.ln3, undefined, (z) => this.feedForward(z, this.dropout3));
  }
}

/** Encoder layers and a last norm. */
export class TransformerEncoder extends Module {
  readonly layers: TransformerEncoderLayer[];
  ln: LayerNorm;

  constructor(numLayers: number, dims: number, numHeads: number, options: TransformerLayerOptions = {}) {
    super();
    this.layers = Array.from(
      { length: numLayers },
      () => new TransformerEncoderLayer(dims, numHeads, options),
    );
    this.ln = new LayerNorm(dims);
  }

  forward(x: NDArray, mask?: Mask): NDArray {
    return this.ln.forward(this.layers.reduce((y, layer) => layer.forward(y, mask), x));
  }
}

/** Decoder layers and a last norm. */
export class TransformerDecoder extends Module {
  readonly layers: TransformerDecoderLayer[];
  ln: LayerNorm;

  constructor(numLayers: number, dims: number, numHeads: number, options: TransformerLayerOptions = {}) {
    super();
    this.layers = Array.from(
      { length: numLayers },
      () => new TransformerDecoderLayer(dims, numHeads, options),
    );
    this.ln = new LayerNorm(dims);
  }

  forward(x: NDArray, memory: NDArray, mask?: Mask, memoryMask?: Mask): NDArray {
    const y = this.layers.reduce((z, layer) => layer.forward(z, memory, mask, memoryMask), x);
    return this.ln.forward(y);
  }
}

export interface TransformerOptions extends TransformerLayerOptions {
  /** Default 6 each. */
  readonly numEncoderLayers?: number;
  readonly numDecoderLayers?: number;
}

/** An encoder and a decoder that attends to it. */
export class Transformer extends Module {
  encoder: TransformerEncoder;
  decoder: TransformerDecoder;

  constructor(dims = 512, numHeads = 8, options: TransformerOptions = {}) {
    super();
    const { numEncoderLayers = 6, numDecoderLayers = 6, ...rest } = options;
    this.encoder = new TransformerEncoder(numEncoderLayers, dims, numHeads, rest);
    this.decoder = new TransformerDecoder(numDecoderLayers, dims, numHeads, rest);
  }

  forward(
    source: NDArray,
    target: NDArray,
    masks: { readonly source?: Mask; readonly target?: Mask; readonly memory?: Mask } = {},
  ): NDArray {
    return this.decoder.forward(
      target,
      this.encoder.forward(source, masks.source),
      masks.target,
      masks.memory,
    );
  }
}
