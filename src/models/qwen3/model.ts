// Qwen3: Llama's layers with norms on query and key heads.

import { loadDecoder } from '../blocks/decoder.ts';
import { decoderNames } from '../blocks/names.ts';
import type { DecoderConfig } from '../config/decoder.ts';
import type { Family } from '../contract.ts';
import { parseQwen3 } from './config.ts';

export const qwen3: Family<DecoderConfig> = {
  names: ['Qwen3ForCausalLM', 'qwen3'],
  parse: parseQwen3,
  build: (config, load, options) => loadDecoder(config, decoderNames, load, options),
};
