// Self-attention with grouped key/value heads: projections, norms, rotation, a cache that attends, and the output projection.

import type { NDArray } from '../../array/array.ts';
import type { AttendOptions, SequenceMemory } from '../../nn/contracts.ts';
import type { Linear } from '../../nn/linear.ts';
import type { AttentionConfig, NormConfig } from '../config/decoder.ts';
import { type Loading, loadLinear, loadNorm, type Norm } from './load.ts';
import type { AttentionNames } from './names.ts';
import type { Rotate } from './rotary.ts';

export class Attention {
  readonly #config: AttentionConfig;
  readonly #rotate: Rotate;
  readonly #options: AttendOptions;
  readonly #projections: { readonly q: Linear; readonly k: Linear; readonly v: Linear; readonly o: Linear };
  readonly #norms: { readonly q: Norm; readonly k: Norm } | undefined;

  constructor(from: Loading, names: AttentionNames, layer: AttentionLayer) {
    const { config, hiddenSize } = layer;
    const queries = config.numHeads * config.headDim;
    const keys = config.numKvHeads * config.headDim;
    this.#config = config;
    this.#rotate = layer.rotate;
    this.#options = {
      scale: config.scale,
      precision: from.options.precision === 'exact' ? 'exact' : 'fast',
      ...(config.softcap === undefined ? {} : { softcap: config.softcap }),
      ...(config.sinks ? { sinks: from.load.vector(names.sinks, config.numHeads) } : {}),
    };
    this.#projections = {
      q: loadLinear(from, names.q, [queries, hiddenSize], config.qkvBias),
      k: loadLinear(from, names.k, [keys, hiddenSize], config.qkvBias),
      v: loadLinear(from, names.v, [keys, hiddenSize], config.qkvBias),
      o: loadLinear(from, names.o, [hiddenSize, queries], config.outputBias),
    };
    this.#norms = qkNorms(from, names, layer, queries, keys);
  }

  /** x `[n, D]` at positions i32 `[n]` -> `[n, D]`; keys and values go to the memory of `layer`. */
  apply(x: NDArray, positions: NDArray, memory: SequenceMemory, layer: number): NDArray {
    const { numHeads, numKvHeads, headDim } = this.#config;
    const { q, k, v, o } = this.#projections;
    const rows = x.shape[0] ?? 0;
    const attended = memory.attend(
      layer,
      this.#rotate(this.#heads(q.apply(x), numHeads, this.#norms?.q), positions),
      this.#rotate(this.#heads(k.apply(x), numKvHeads, this.#norms?.k), positions),
      this.#clip(v.apply(x)).reshape([rows, numKvHeads, headDim]),
      positions,
      this.#options,
    );
    return o.apply(attended.reshape([rows, numHeads * headDim]));
  }

  /** x `[n, heads * Dh]`, normed and clipped -> `[n, heads, Dh]`. */
  #heads(x: NDArray, heads: number, norm: Norm | undefined): NDArray {
    const { headDim, qkNorm } = this.#config;
    const shape = [x.shape[0] ?? 0, heads, headDim];
    if (norm !== undefined && qkNorm === 'head') return this.#clip(norm.apply(x.reshape(shape)));
    return this.#clip(norm?.apply(x) ?? x).reshape(shape);
  }

  #clip(x: NDArray): NDArray {
    const { clip } = this.#config;
    return clip === undefined ? x : x.minimum(clip).maximum(-clip);
  }
}

/** What one layer's attention is made from. */
export interface AttentionLayer {
  readonly config: AttentionConfig;
  readonly hiddenSize: number;
  readonly norm: NormConfig;
  readonly rotate: Rotate;
}

function qkNorms(
  from: Loading,
  names: AttentionNames,
  { config, norm }: AttentionLayer,
  queries: number,
  keys: number,
): { readonly q: Norm; readonly k: Norm } | undefined {
  if (config.qkNorm === 'none') return undefined;
  const whole = config.qkNorm === 'whole';
  return {
    q: loadNorm(from, names.qNorm, whole ? queries : config.headDim, norm),
    k: loadNorm(from, names.kNorm, whole ? keys : config.headDim, norm),
  };
}
