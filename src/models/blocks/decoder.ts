// A decoder-only transformer as a list of layers between an embedding and a head, all of it said by values of a config.

import type { NDArray } from '../../array/array.ts';
import type { Embedding } from '../../nn/embedding.ts';
import type { Linear } from '../../nn/linear.ts';
import type { DecoderConfig } from '../config/decoder.ts';
import type { BuildOptions, ModelGraph, WeightLoader } from '../contract.ts';
import { loadHead } from './head.ts';
import { type Layer, loadLayer } from './layer.ts';
import { type Loading, loadEmbedding, loadNorm, type Norm } from './load.ts';
import { embeddingName, finalNormName } from './names.ts';
import { Rotaries } from './rotary.ts';

export interface DecoderParts {
  readonly embedding: Embedding;
  readonly layers: readonly Layer[];
  readonly finalNorm: Norm;
  readonly head: Linear;
  /** Made for this model, freed with it. */
  readonly constants: readonly NDArray[];
}

/** The model that runs these parts in order. */
export function decoder(config: DecoderConfig, parts: DecoderParts): ModelGraph {
  const { embeddingScale, logitScale, logitSoftcap } = config;
  return {
    config,
    hidden(ids, positions, memory) {
      const embedded = scaled(parts.embedding.apply(ids), embeddingScale);
      const stream = parts.layers.reduce((x, layer, i) => layer.apply(x, positions, memory, i), embedded);
      return parts.finalNorm.apply(stream);
    },
    logits(hidden) {
      const logits = scaled(parts.head.apply(hidden), logitScale);
      return logitSoftcap === undefined ? logits : logits.div(logitSoftcap).tanh().mul(logitSoftcap);
    },
    dispose() {
      for (const constant of parts.constants) constant.dispose();
    },
  };
}

const scaled = (x: NDArray, scale: number): NDArray => (scale === 1 ? x : x.mul(scale));

/** A decoder with the weights of a checkpoint. */
export function loadDecoder(config: DecoderConfig, load: WeightLoader, options: BuildOptions): ModelGraph {
  const from: Loading = { load, options };
  const { hiddenSize, vocabSize, norm } = config;
  const rotaries = new Rotaries(
    options.contextLength ?? config.plainContext ?? config.contextLength,
    options.device,
  );
  const embedding = loadEmbedding(from, embeddingName, [vocabSize, hiddenSize]);
  return decoder(config, {
    embedding,
    layers: config.layers.map((layer, i) => loadLayer(from, config, rotaries, layer, i)),
    finalNorm: loadNorm(from, finalNormName, hiddenSize, norm),
    head: loadHead(from, config, embedding),
    constants: rotaries.constants,
  });
}
