// The decoder of DeepSeek V4: layers of attention over compressed memory and of experts, between streams.

import { fromData } from '../../array/creation.ts';
import { loadHead } from '../blocks/head.ts';
import { type Loading, loadEmbedding, loadNorm } from '../blocks/load.ts';
import { embeddingName, finalNormName, layerNames } from '../blocks/names.ts';
import { Rotaries } from '../blocks/rotary.ts';
import type { BuildOptions, ModelGraph, WeightLoader } from '../contract.ts';
import { CompressedAttention } from './attention.ts';
import type { DeepseekV4Config } from './config.ts';
import { TokenExperts } from './experts.ts';
import { HyperConnection, StreamHead } from './streams.ts';

export function loadDeepseekV4(
  config: DeepseekV4Config,
  load: WeightLoader,
  options: BuildOptions,
): ModelGraph {
  const from: Loading = { load, options };
  const { hiddenSize, vocabSize, norm, streams } = config;
  const rotaries = new Rotaries(options.contextLength ?? config.contextLength, options.device);
  const sizes = { config: streams, hiddenSize, eps: norm.eps };
  const embedding = loadEmbedding(from, embeddingName, [vocabSize, hiddenSize]);
  const headDim = config.layers[0]?.attention.headDim ?? 1;
  const unit = fromData(new Float32Array(headDim).fill(1), [headDim], { device: options.device });
  const tables = new Map<string, ReturnType<Rotaries['tableOf']>>();
  const layers = config.layers.map(({ attention, experts }, i) => {
    const names = layerNames(i);
    const layer = `model.layers.${i}`;
    const key = JSON.stringify(attention.rope);
    const table = tables.get(key) ?? rotaries.tableOf(attention.rope);
    tables.set(key, table);
    const rotate = rotaries.of(attention.rope);
    const parts = { config: attention, hiddenSize, eps: norm.eps, rotate, table, ones: unit };
    return {
      attention: new CompressedAttention(from, `${layer}.self_attn`, parts),
      attentionNorm: loadNorm(from, names.attentionNorm, hiddenSize, norm),
      attentionStreams: new HyperConnection(from, `${layer}.attn_hc`, sizes),
      experts: new TokenExperts(from, i, experts, { hiddenSize, vocabSize }),
      expertsNorm: loadNorm(from, names.feedForwardNorm, hiddenSize, norm),
      expertsStreams: new HyperConnection(from, `${layer}.ffn_hc`, sizes),
    };
  });
  const merge = new StreamHead(from, 'model.hc_head', sizes);
  const finalNorm = loadNorm(from, finalNormName, hiddenSize, norm);
  const head = loadHead(from, config, embedding);
  return {
    config,
    hidden(ids, positions, memory) {
      const rows = ids.shape[0] ?? 0;
      const start = embedding
        .apply(ids)
        .reshape([rows, 1, hiddenSize])
        .broadcastTo([rows, streams.count, hiddenSize]);
      const end = layers.reduce((x, layer, i) => {
        const middle = layer.attentionStreams.apply(x, (y) =>
          layer.attention.apply(layer.attentionNorm.apply(y), positions, memory, i),
        );
        return layer.expertsStreams.apply(middle, (y) =>
          layer.experts.apply(layer.expertsNorm.apply(y), ids),
        );
      }, start);
      return finalNorm.apply(merge.apply(end));
    },
    logits: (hidden) => head.apply(hidden),
    dispose() {
      unit.dispose();
      for (const constant of rotaries.constants) constant.dispose();
    },
  };
}
