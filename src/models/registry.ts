// All model families, and the choice of one for a config.json. Adding a family is a folder and a line here.

import { IngotError } from '../base/errors.ts';
import { cohere2 } from './cohere2/model.ts';
import { ConfigReader } from './config/reader.ts';
import type { BuildOptions, Family, ModelConfig, ModelGraph, WeightLoader } from './contract.ts';
import { deepseek } from './deepseek/model.ts';
import { deepseekV4 } from './deepseek-v4/model.ts';
import { ernie45Moe } from './ernie4_5-moe/model.ts';
import { gemma } from './gemma/model.ts';
import { gemma2 } from './gemma2/model.ts';
import { gemma3 } from './gemma3/model.ts';
import { glm4 } from './glm4/model.ts';
import { glm4Moe } from './glm4-moe/model.ts';
import { gptOss } from './gpt-oss/model.ts';
import { granite } from './granite/model.ts';
import { graniteMoe } from './granite-moe/model.ts';
import { lfm2 } from './lfm2/model.ts';
import { lfm2Moe } from './lfm2-moe/model.ts';
import { llama } from './llama/model.ts';
import { mistral } from './mistral/model.ts';
import { mixtral } from './mixtral/model.ts';
import { olmo2 } from './olmo2/model.ts';
import { olmoe } from './olmoe/model.ts';
import { phi } from './phi/model.ts';
import { phi3 } from './phi3/model.ts';
import { qwen2 } from './qwen2/model.ts';
import { qwen2Moe } from './qwen2-moe/model.ts';
import { qwen3 } from './qwen3/model.ts';
import { qwen3Moe } from './qwen3-moe/model.ts';
import { smollm3 } from './smollm3/model.ts';

export const families: readonly Family[] = [
  llama,
  mistral,
  smollm3,
  qwen2,
  qwen3,
  qwen3Moe,
  gemma,
  gemma2,
  gemma3,
  glm4,
  phi,
  phi3,
  olmo2,
  granite,
  cohere2,
  mixtral,
  qwen2Moe,
  olmoe,
  graniteMoe,
  glm4Moe,
  ernie45Moe,
  gptOss,
  lfm2,
  lfm2Moe,
  deepseek,
  deepseekV4,
];

/** A config together with the family that read it. */
export interface ParsedModel {
  readonly config: ModelConfig;
  /** Loads the weights and returns the model. Throws missing_tensor, or shape_mismatch from the loader. */
  build(load: WeightLoader, options: BuildOptions): ModelGraph;
}

/**
 * Reads a config.json by the family that its `architectures` (or else `model_type`) names. `source` names the file in
 * errors. Throws unsupported, with the supported architectures, when no family claims it.
 */
export function parseModel(json: unknown, source: string): ParsedModel {
  const family = findFamily(json, source);
  const config = family.parse(json, source);
  return { config, build: (load, options) => family.build(config, load, options) };
}

/** The family that a config names. Throws like `parseModel`. */
export function findFamily(json: unknown, source: string): Family {
  const reader = new ConfigReader(json, source);
  const type = reader.string('model_type');
  const names = reader.strings('architectures', 64) ?? (type === undefined ? [] : [type]);
  // The class without a head is what some checkpoints for embeddings are saved from.
  const wanted = new Set(names.flatMap((name) => [name, name.replace(/Model$/, 'ForCausalLM')]));
  const family = families.find((f) => f.names.some((name) => wanted.has(name)));
  if (family !== undefined) return family;
  if (names.length === 0) reader.fail('architectures', 'is missing, and so is model_type');
  const supported = families.flatMap((f) => f.names.filter((name) => name.endsWith('ForCausalLM')));
  throw new IngotError(
    'unsupported',
    `${source}: no support for architecture ${names.join(', ')}; supported are ${supported.join(', ')}`,
    { details: { architectures: names, supported } },
  );
}
