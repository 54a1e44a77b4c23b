// config.json of Qwen3-MoE: Qwen3 attention, and on most layers a router over experts in place of the dense MLP.

import {
  type DecoderConfig,
  type LayerConfig,
  type MoeConfig,
  readActivation,
  readDecoder,
  readLayerCount,
  readMlp,
} from '../config/decoder.ts';
import { ConfigReader, limits } from '../config/reader.ts';

/** Reads a Qwen3-MoE config. Throws bad_file or unsupported with the field's name. */
export function parseQwen3Moe(json: unknown, source: string): DecoderConfig {
  const reader = new ConfigReader(json, source);
  const bias = reader.boolean('attention_bias', false);
  const used = reader.boolean('use_sliding_window', false);
  const window = used ? reader.optionalInt('sliding_window', limits.contextLength) : undefined;
  const layers = readFeedForwards(reader, readLayerCount(reader)).map(
    (feedForward): LayerConfig => ({ feedForward, ...(window === undefined ? {} : { window }) }),
  );
  return readDecoder(reader, {
    family: 'qwen3-moe',
    attention: { qkvBias: bias, outputBias: bias, qkNorm: true },
    layers,
    defaults: { contextLength: 32768 },
  });
}

/** A layer is sparse when every `decoder_sparse_step`-th is, it is not listed in `mlp_only_layers`, and experts exist. */
function readFeedForwards(reader: ConfigReader, numLayers: number): readonly LayerConfig['feedForward'][] {
  const step = reader.int('decoder_sparse_step', { min: 1, max: limits.layers.max }, 1);
  const denseOnly = new Set(reader.ints('mlp_only_layers', { min: 0, max: limits.layers.max }) ?? []);
  const moe = readMoe(reader);
  const sparse = (i: number): boolean => moe !== undefined && !denseOnly.has(i) && (i + 1) % step === 0;
  const indices = Array.from({ length: numLayers }, (_, i) => i);
  // A purely sparse model may leave out the size of the dense MLP.
  const dense = indices.every(sparse) ? undefined : readMlp(reader, false);
  return indices.map((i) => {
    const feedForward = sparse(i) ? moe : dense;
    return feedForward ?? reader.fail('num_experts', `layer ${i} has neither experts nor a dense MLP`);
  });
}

function readMoe(reader: ConfigReader): MoeConfig | undefined {
  const key = reader.has('num_experts') ? 'num_experts' : 'num_local_experts';
  const numExperts = reader.int(key, limits.experts);
  if (numExperts === 0) return undefined;
  const topK = reader.int('num_experts_per_tok', { min: 1, max: limits.experts.max });
  if (topK > numExperts)
    reader.fail('num_experts_per_tok', `is ${topK}, but there are ${numExperts} experts`);
  return {
    kind: 'moe',
    numExperts,
    topK,
    intermediateSize: reader.int('moe_intermediate_size', limits.intermediateSize),
    activation: readActivation(reader),
    normTopK: reader.boolean('norm_topk_prob', false),
  };
}
