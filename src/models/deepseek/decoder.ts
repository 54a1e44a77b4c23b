// The decoder of DeepSeek V2 and V3: pre-norm layers of latent attention and an MLP or experts.

import { loadHead } from '../blocks/head.ts';
import type { Layer } from '../blocks/layer.ts';
import { type Loading, loadEmbedding, loadNorm } from '../blocks/load.ts';
import { Mlp } from '../blocks/mlp.ts';
import { Moe } from '../blocks/moe.ts';
import { embeddingName, finalNormName, layerNames } from '../blocks/names.ts';
import { Rotaries, type Rotate } from '../blocks/rotary.ts';
import type { BuildOptions, ModelGraph, WeightLoader } from '../contract.ts';
import { LatentAttention } from './attention.ts';
import type { DeepseekConfig } from './config.ts';

export function loadDeepseek(config: DeepseekConfig, load: WeightLoader, options: BuildOptions): ModelGraph {
  const from: Loading = { load, options };
  const { hiddenSize, vocabSize, norm } = config;
  const rotaries = new Rotaries(
    options.contextLength ?? config.plainContext ?? config.contextLength,
    options.device,
  );
  const { interleaved: _, ...halves } = config.attention.rope;
  const rotate = rotaries.of(config.attention.rope);
  const rotateIndex = config.attention.indexer ? rotaries.of(halves) : rotate;
  const embedding = loadEmbedding(from, embeddingName, [vocabSize, hiddenSize]);
  const layers = config.feedForward.map((_, i) => loadLayer(from, config, { rotate, rotateIndex }, i));
  const finalNorm = loadNorm(from, finalNormName, hiddenSize, norm);
  const head = loadHead(from, config, embedding);
  return {
    config,
    hidden(ids, positions, memory) {
      const stream = layers.reduce(
        (x, layer, i) => layer.apply(x, positions, memory, i),
        embedding.apply(ids),
      );
      return finalNorm.apply(stream);
    },
    logits: (hidden) => head.apply(hidden),
    dispose() {
      for (const constant of rotaries.constants) constant.dispose();
    },
  };
}

function loadLayer(
  from: Loading,
  config: DeepseekConfig,
  rotations: { readonly rotate: Rotate; readonly rotateIndex: Rotate },
  index: number,
): Layer {
  const { hiddenSize, norm, attention: latent } = config;
  const names = layerNames(index);
  const attention = new LatentAttention(from, `model.layers.${index}.self_attn`, {
    config: latent,
    hiddenSize,
    ...rotations,
  });
  const attentionNorm = loadNorm(from, names.attentionNorm, hiddenSize, norm);
  const feedForwardNorm = loadNorm(from, names.feedForwardNorm, hiddenSize, norm);
  const feedForward = loadFeedForward(from, config, index);
  return {
    apply(x, positions, memory, layer) {
      const middle = x.add(attention.apply(attentionNorm.apply(x), positions, memory, layer));
      return feedForward.addTo(middle, feedForwardNorm.apply(middle));
    },
  };
}

function loadFeedForward(
  from: Loading,
  { hiddenSize, feedForward }: DeepseekConfig,
  index: number,
): Moe | Mlp {
  const names = layerNames(index);
  const config = feedForward[index];
  return config?.kind === 'moe'
    ? new Moe(from, names.moe, config, hiddenSize)
    : new Mlp(from, names.mlp, config as Exclude<typeof config, undefined>, hiddenSize);
}
