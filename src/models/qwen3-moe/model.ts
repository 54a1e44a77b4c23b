// Qwen3-MoE: Qwen3 attention with experts on most layers.

import { loadDecoder } from '../blocks/decoder.ts';
import { decoderNames } from '../blocks/names.ts';
import type { DecoderConfig } from '../config/decoder.ts';
import type { Family } from '../contract.ts';
import { parseQwen3Moe } from './config.ts';

export const qwen3Moe: Family<DecoderConfig> = {
  names: ['Qwen3MoeForCausalLM', 'qwen3_moe'],
  parse: parseQwen3Moe,
  build: (config, load, options) => loadDecoder(config, decoderNames, load, options),
};
