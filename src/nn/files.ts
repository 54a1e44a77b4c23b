// Parameters of modules in safetensors files.

import { NDArray } from '../array/array.ts';
import { load, saveSafetensors } from '../array/files/node.ts';
import { IngotError } from '../base/errors.ts';
import { Embedding } from './layers/embedding.ts';
import { Linear } from './layers/linear.ts';
import {
  Packed,
  QuantizedEmbedding,
  QuantizedLinear,
  type QuantizedParts,
  quantizedParts,
  weightOfParts,
} from './layers/quantized.ts';
import type { Module, UpdateOptions } from './module.ts';

/** Writes the parameters of a module, by path; quantised matrices as MLX does: `.weight` (u32 words), `.scales` and `.biases`. */
export async function saveWeights(module: Module, path: string): Promise<void> {
  const arrays: Record<string, NDArray> = { ...module.parameters() };
  const parts: NDArray[] = [];
  for (const [at, layer] of module.namedModules()) {
    if (!(layer instanceof Packed)) continue;
    for (const [name, x] of Object.entries(await quantizedParts(layer))) {
      arrays[at === '' ? name : `${at}.${name}`] = x;
      parts.push(x);
    }
  }
  await saveSafetensors(path, arrays);
  for (const x of parts) x.dispose();
}

export interface LoadWeightsOptions extends UpdateOptions {
  /** The parameter that a tensor of the file is; undefined leaves it out. Default: the one of its name. */
  readonly rename?: (name: string) => string | undefined;
}

/**
 * Puts the tensors of a .safetensors or .npz file in place of parameters, in the dtype of the file; the old ones are freed. By default the file
 * must have every parameter (`strict`). Linear and Embedding layers that are quantised in the file become so in the module. Rejects with not_found and shape_mismatch as Module.update.
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
    await takeQuantized(module, named, strict);
    module.update(named, { strict });
  } catch (error) {
    for (const x of Object.values(named)) x.dispose();
    throw error;
  }
  for (const [key, x] of Object.entries(old)) if (key in named) x.dispose();
}

/** Puts the quantised matrices among the arrays into the module, and takes them out of the list. */
async function takeQuantized(module: Module, named: Record<string, NDArray>, strict: boolean): Promise<void> {
  for (const [path, layer] of [...module.namedModules()]) {
    if (!(layer instanceof Packed || layer instanceof Linear || layer instanceof Embedding)) continue;
    const at = (name: string): string => (path === '' ? name : `${path}.${name}`);
    const parts = { weight: named[at('weight')], scales: named[at('scales')], biases: named[at('biases')] };
    if (parts.weight === undefined || parts.scales === undefined || parts.biases === undefined) {
      if (!strict || !(layer instanceof Packed)) continue;
      throw new IngotError('not_found', `loadWeights: the file has no quantised matrix ${at('weight')}`);
    }
    const columns = layer.weight.shape[1] as number;
    const weight = await weightOfParts(parts as QuantizedParts, columns, `loadWeights: ${at('weight')}`);
    if (layer instanceof Packed) layer.take(weight);
    else {
      const { bias } = layer as Linear;
      module.replace(
        path,
        layer instanceof Linear ? new QuantizedLinear(weight, { bias }) : new QuantizedEmbedding(weight),
      );
      layer.weight.dispose();
    }
    for (const [name, x] of Object.entries(parts)) {
      (x as NDArray).dispose();
      delete named[at(name)];
    }
  }
}
