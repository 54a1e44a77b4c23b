// Parameters of modules in safetensors files.

import { NDArray } from '../array/array.ts';
import { load, saveSafetensors } from '../array/files/node.ts';
import { IngotError } from '../base/errors.ts';
import { QuantizedEmbedding, QuantizedLinear } from './layers/quantized.ts';
import type { Module, UpdateOptions } from './module.ts';

/** Writes the parameters of a module, by path. Rejects with unsupported for quantised layers: save before quantising. */
export async function saveWeights(module: Module, path: string): Promise<void> {
  const packed = module
    .namedModules()
    .find(([, m]) => m instanceof QuantizedLinear || m instanceof QuantizedEmbedding);
  if (packed !== undefined) {
    throw new IngotError(
      'unsupported',
      `saveWeights: ${packed[0]} is quantised, and packed matrices are not written; save the module before quantize()`,
    );
  }
  await saveSafetensors(path, module.parameters());
}

export interface LoadWeightsOptions extends UpdateOptions {
  /** The parameter that a tensor of the file is; undefined leaves it out. Default: the one of its name. */
  readonly rename?: (name: string) => string | undefined;
}

/**
 * Puts the tensors of a .safetensors or .npz file in place of parameters, in the dtype of the file; the old ones are freed. By default the file
 * must have every parameter (`strict`). Rejects with not_found and shape_mismatch as Module.update.
 */
export async function loadWeights(
  module: Module,
  path: string,
  options: LoadWeightsOptions = {},
): Promise<void> {
  const { strict = true, rename = (name: string): string | undefined => name } = options;
  const found = await load(path);
  if (found instanceof NDArray) {
    throw new IngotError(
      'invalid_argument',
      `loadWeights: ${path} holds one array; .safetensors and .npz hold parameters by name`,
    );
  }
  const named: Record<string, NDArray> = {};
  for (const [name, x] of Object.entries(found)) {
    const to = rename(name);
    if (to === undefined) x.dispose();
    else named[to] = x;
  }
  const old = module.parameters();
  try {
    module.update(named, { strict });
  } catch (error) {
    for (const x of Object.values(named)) x.dispose();
    throw error;
  }
  for (const [key, x] of Object.entries(old)) if (key in named) x.dispose();
}
