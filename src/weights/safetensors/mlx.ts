// MLX-quantised tensors among safetensors: `NAME.weight` (u32 codes) with `NAME.scales` and `NAME.biases`, by the
// parameters in config.quantization.

import { FileFormatError, IngotError } from '../../base/errors.ts';
import type { SourceFormat } from '../../quant/format.ts';
import type { MetaDtype } from '../../quant/layout.ts';
import { findSourceFormat } from '../../quant/registry.ts';
import { isJsonObject, type JsonObject } from '../json.ts';
import type { SafetensorsEntry } from './reader.ts';

export interface MlxQuantization {
  readonly bits: number;
  readonly groupSize: number;
  /** Other parameters for single modules, by module name. */
  readonly modules: ReadonlyMap<string, { readonly bits: number; readonly groupSize: number }>;
}

/** The MLX parameters of a config, or undefined. Throws unsupported for other quantisation methods. */
export function mlxQuantization(config: JsonObject, file: string): MlxQuantization | undefined {
  const foreign = config.quantization_config;
  if (isJsonObject(foreign) && typeof foreign.quant_method === 'string' && foreign.quant_method !== 'mlx') {
    throw new IngotError(
      'unsupported',
      `${file}: quantisation method ${JSON.stringify(foreign.quant_method.slice(0, 40))} is not supported; ` +
        'use plain, MLX-quantised or GGUF weights',
    );
  }
  const quantization = config.quantization ?? foreign;
  if (!isJsonObject(quantization)) return undefined;
  const modules = new Map<string, { bits: number; groupSize: number }>();
  for (const [name, value] of Object.entries(quantization)) {
    if (isJsonObject(value))
      modules.set(name, parameters(value, file, `quantization[${JSON.stringify(name)}]`));
  }
  return { ...parameters(quantization, file, 'quantization'), modules };
}

function parameters(value: JsonObject, file: string, field: string): { bits: number; groupSize: number } {
  const mode = value.mode ?? 'affine';
  if (mode !== 'affine') {
    throw new IngotError(
      'unsupported',
      `${file}: ${field}.mode ${JSON.stringify(mode)} is not supported, only affine`,
    );
  }
  const { bits, group_size: groupSize } = value;
  if (!Number.isSafeInteger(bits) || !Number.isSafeInteger(groupSize)) {
    throw new FileFormatError(file, field, 'bits and group_size must be integers');
  }
  return { bits: bits as number, groupSize: groupSize as number };
}

const metaDtypes: Readonly<Record<string, MetaDtype>> = { F32: 'f32', F16: 'f16', BF16: 'bf16' };

/**
 * Format and real shape of a quantised tensor whose stored columns are u32 words.
 * Throws unsupported for parameters without a kernel, FileFormatError when the three tensors do not fit together.
 */
export function mlxTensor(
  module: string,
  quantization: MlxQuantization,
  weight: SafetensorsEntry,
  scales: SafetensorsEntry,
  biases: SafetensorsEntry,
): { readonly format: SourceFormat; readonly shape: readonly number[] } {
  const { bits, groupSize } = quantization.modules.get(module) ?? quantization;
  const file = weight.source.name;
  const metaDtype = metaDtypes[scales.dtype];
  const format = findSourceFormat(`mlx${bits}/${groupSize}/${metaDtype}`);
  if (format === undefined) {
    throw new IngotError(
      'unsupported',
      `${file}: ${module} has ${bits} bits in groups of ${groupSize} with ${scales.dtype} scales; ` +
        'supported are 4 and 8 bits, groups of 32, 64 and 128, F32, F16 and BF16',
    );
  }
  const columns = ((weight.shape.at(-1) ?? 0) * 32) / bits;
  const shape = [...weight.shape.slice(0, -1), columns];
  const expected = [...weight.shape.slice(0, -1), columns / groupSize];
  for (const meta of [scales, biases]) {
    const fits = meta.shape.length === expected.length && meta.shape.every((d, i) => d === expected[i]);
    if (fits && meta.dtype === scales.dtype && columns > 0) continue;
    throw new FileFormatError(
      meta.source.name,
      `tensor ${JSON.stringify(meta.name)}`,
      `must be ${scales.dtype} [${expected}] for codes [${weight.shape}] of ${bits} bits, found ${meta.dtype} [${meta.shape}]`,
    );
  }
  return { format, shape };
}
