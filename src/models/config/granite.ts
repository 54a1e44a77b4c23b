// The four multipliers of Granite, dense and with experts.

import { f32 } from '../../weights/gguf/writer.ts';
import type { JsonObject } from '../../weights/json.ts';
import type { GgufFields } from '../files/files.ts';
import { decoderFields } from '../files/gguf-fields.ts';
import { type GgufKeys, optional } from '../files/gguf-keys.ts';
import type { DecoderConfig } from './decoder.ts';
import { type ConfigReader, limits } from './reader.ts';

export const readGraniteScales = (reader: ConfigReader) => ({
  attentionScale: reader.number('attention_multiplier', limits.factor, 1),
  embeddingScale: reader.number('embedding_multiplier', limits.factor, 1),
  residualScale: reader.number('residual_multiplier', limits.factor, 1),
  // Logits are divided by theirs.
  logitScale: 1 / reader.number('logits_scaling', limits.factor, 1),
});

/** The same from a GGUF file. */
export const graniteMultipliers = (keys: GgufKeys): JsonObject => ({
  ...optional('attention_multiplier', keys.number('attention.scale')),
  ...optional('embedding_multiplier', keys.number('embedding_scale')),
  ...optional('residual_multiplier', keys.number('residual_scale')),
  ...optional('logits_scaling', keys.number('logit_scale')),
});

/** All metadata of such a file. */
export const graniteFields = (config: DecoderConfig): GgufFields => {
  const [layer] = config.layers;
  return {
    ...decoderFields(config),
    ...(layer !== undefined && 'attention' in layer ? { 'attention.scale': f32(layer.attention.scale) } : {}),
    embedding_scale: f32(config.embeddingScale),
    residual_scale: f32(config.residualScale),
    logit_scale: f32(1 / config.logitScale),
  };
};
