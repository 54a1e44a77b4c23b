// config.json of Llama 2 and 3, SmolLM2 and Mistral: one shape of block; they differ in biases and the sliding window.

import { type DecoderConfig, readDecoder, readLayerCount, readMlp } from '../config/decoder.ts';
import { ConfigReader, limits } from '../config/reader.ts';

/** Reads a config of the Llama family. Throws bad_file or unsupported with the field's name. */
export function parseLlama(json: unknown, source: string): DecoderConfig {
  const reader = new ConfigReader(json, source);
  const mistral = reader.string('model_type') === 'mistral' || isMistral(reader);
  const window = mistral ? reader.optionalInt('sliding_window', limits.contextLength) : undefined;
  const bias = reader.boolean('attention_bias', false);
  const layer = {
    ...(window === undefined ? {} : { window }),
    feedForward: readMlp(reader, reader.boolean('mlp_bias', false)),
  };
  return readDecoder(reader, {
    family: 'llama',
    attention: { qkvBias: bias, outputBias: bias, qkNorm: false },
    layers: Array.from({ length: readLayerCount(reader) }, () => layer),
    defaults: { contextLength: mistral ? 131072 : 2048 },
  });
}

const isMistral = (reader: ConfigReader): boolean =>
  reader.strings('architectures', 64)?.includes('MistralForCausalLM') ?? false;
