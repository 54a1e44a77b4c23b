// All model families, and the choice of one for a config.json. Adding a family is a folder and a line here.

import { IngotError } from '../base/errors.ts';
import { ConfigReader } from './config/reader.ts';
import type { BuildOptions, Family, Model, ModelConfig, WeightLoader } from './contract.ts';
import { llama } from './llama/model.ts';
import { qwen3 } from './qwen3/model.ts';
import { qwen3Moe } from './qwen3-moe/model.ts';

export const families: readonly Family[] = [llama, qwen3, qwen3Moe];

/** A config together with the family that read it. */
export interface ParsedModel {
  readonly config: ModelConfig;
  /** Loads the weights and returns the model. Throws missing_tensor, or shape_mismatch from the loader. */
  build(load: WeightLoader, options: BuildOptions): Model;
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

function findFamily(json: unknown, source: string): Family {
  const reader = new ConfigReader(json, source);
  const type = reader.string('model_type');
  const names = reader.strings('architectures', 64) ?? (type === undefined ? [] : [type]);
  const family = families.find((f) => f.names.some((name) => names.includes(name)));
  if (family !== undefined) return family;
  if (names.length === 0) reader.fail('architectures', 'is missing, and so is model_type');
  const supported = families.flatMap((f) => f.names.filter((name) => name.endsWith('ForCausalLM')));
  throw new IngotError(
    'unsupported',
    `${source}: no support for architecture ${names.join(', ')}; supported are ${supported.join(', ')}`,
    { details: { architectures: names, supported } },
  );
}
