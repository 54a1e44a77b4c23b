// The Llama family: Llama 2 and 3, SmolLM2, Mistral. Pre-norm layers of attention and gated MLP.

import { loadDecoder } from '../blocks/decoder.ts';
import { decoderNames } from '../blocks/names.ts';
import type { DecoderConfig } from '../config/decoder.ts';
import type { Family } from '../contract.ts';
import { parseLlama } from './config.ts';

export const llama: Family<DecoderConfig> = {
  names: ['LlamaForCausalLM', 'MistralForCausalLM', 'llama', 'mistral'],
  parse: parseLlama,
  build: (config, load, options) => loadDecoder(config, decoderNames, load, options),
};
