// config.json of dense Qwen3: norms on query and key heads, a head size of its own, sliding windows on some layers.

import {
  type DecoderConfig,
  type LayerConfig,
  readDecoder,
  readLayerCount,
  readMlp,
} from '../config/decoder.ts';
import { ConfigReader } from '../config/reader.ts';
import { readWindows } from '../config/windows.ts';

/** Reads a Qwen3 config. Throws bad_file or unsupported with the field's name. */
export function parseQwen3(json: unknown, source: string): DecoderConfig {
  const reader = new ConfigReader(json, source);
  const bias = reader.boolean('attention_bias', false);
  const feedForward = readMlp(reader, false);
  const layers = readWindows(reader, readLayerCount(reader)).map(
    (window): LayerConfig => ({ feedForward, ...(window === undefined ? {} : { window }) }),
  );
  return readDecoder(reader, {
    family: 'qwen3',
    attention: { qkvBias: bias, outputBias: bias, qkNorm: true },
    layers,
    defaults: { contextLength: 32768, headDim: 128 },
  });
}
