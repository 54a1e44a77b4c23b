// A layer of a decoder: attention and feed-forward, added to the residual stream with norms where the family has them.

import type { NDArray } from '../../array/array.ts';
import type { SequenceMemory } from '../../nn/contracts.ts';
import type { DecoderConfig, LayerConfig } from '../config/decoder.ts';
import { Attention } from './attention.ts';
import { ShortConvolution } from './convolution.ts';
import { type Loading, loadNorm, type Norm } from './load.ts';
import { Mlp } from './mlp.ts';
import { Moe } from './moe.ts';
import { type LayerNames, layerNames } from './names.ts';
import type { Rotaries } from './rotary.ts';

/** One residual layer: `apply` adds attention and feed-forward to the stream `[n, D]`. */
export interface Layer {
  apply(x: NDArray, positions: NDArray, memory: SequenceMemory, layer: number): NDArray;
}

/** The norms of a layer; one that a placement has not is undefined. */
interface LayerNorms {
  readonly attention: Norm | undefined;
  readonly postAttention: Norm | undefined;
  readonly feedForward: Norm | undefined;
  readonly postFeedForward: Norm | undefined;
}

export function loadLayer(
  from: Loading,
  config: DecoderConfig,
  rotaries: Rotaries,
  layer: LayerConfig,
  index: number,
): Layer {
  const { hiddenSize, residualScale } = config;
  const { feedForward } = layer;
  const names = layerNames(index);
  const parts = {
    norms: loadNorms(from, config, names),
    mixer: loadMixer(from, config, rotaries, layer, names),
    feedForward:
      feedForward.kind === 'moe'
        ? new Moe(from, names.moe, feedForward, hiddenSize)
        : new Mlp(from, names.mlp, feedForward, hiddenSize),
    residualScale,
  };
  return config.placement === 'parallel' ? parallelLayer(parts) : sequentialLayer(parts);
}

/** What mixes a layer's tokens. */
type Mixer = Attention | ShortConvolution;

function loadMixer(
  from: Loading,
  { hiddenSize, norm }: DecoderConfig,
  rotaries: Rotaries,
  layer: LayerConfig,
  names: LayerNames,
): Mixer {
  if ('convolution' in layer)
    return new ShortConvolution(from, names.convolution, layer.convolution, hiddenSize);
  const config = layer.attention;
  const rotate = rotaries.of(config.rope);
  return new Attention(from, names.attention, { config, hiddenSize, norm, rotate });
}

function loadNorms(
  from: Loading,
  { hiddenSize, norm, placement }: DecoderConfig,
  names: LayerNames,
): LayerNorms {
  const before = placement !== 'post';
  const after = placement === 'post' || placement === 'both';
  const load = (wanted: boolean, name: string): Norm | undefined =>
    wanted ? loadNorm(from, name, hiddenSize, norm) : undefined;
  return {
    attention: load(before, names.attentionNorm),
    postAttention: load(after, names.postAttentionNorm),
    feedForward: load(before && placement !== 'parallel', names.feedForwardNorm),
    postFeedForward: load(after, names.postFeedForwardNorm),
  };
}

interface LayerParts {
  readonly norms: LayerNorms;
  readonly mixer: Mixer;
  readonly feedForward: Mlp | Moe;
  readonly residualScale: number;
}

const normed = (norm: Norm | undefined, x: NDArray): NDArray => norm?.apply(x) ?? x;

function sequentialLayer({ norms, mixer, feedForward, residualScale }: LayerParts): Layer {
  const add = (x: NDArray, y: NDArray): NDArray => x.add(residualScale === 1 ? y : y.mul(residualScale));
  return {
    apply(x, positions, memory, layer) {
      const mixed = mixer.apply(normed(norms.attention, x), positions, memory, layer);
      const middle = add(x, normed(norms.postAttention, mixed));
      const input = normed(norms.feedForward, middle);
      if (norms.postFeedForward === undefined && residualScale === 1) return feedForward.addTo(middle, input);
      return add(middle, normed(norms.postFeedForward, feedForward.apply(input)));
    },
  };
}

function parallelLayer({ norms, mixer, feedForward }: LayerParts): Layer {
  return {
    apply(x, positions, memory, layer) {
      const input = normed(norms.attention, x);
      return feedForward.addTo(x.add(mixer.apply(input, positions, memory, layer)), input);
    },
  };
}
