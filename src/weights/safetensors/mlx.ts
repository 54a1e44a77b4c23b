// MLX-quantised tensors among safetensors: `NAME.weight` (codes in u32 words) with `NAME.scales`, and `NAME.biases` in the affine mode, by
// the parameters in config.quantization.

import { FileFormatError, IngotError } from '../../base/errors.ts';
import type { SourceFormat } from '../../quant/format.ts';
import { mlxMxfp4, mlxMxfp8, mlxNvfp4 } from '../../quant/formats/fp4.ts';
import { findSourceFormat } from '../../quant/registry.ts';
import { isJsonObject, type JsonObject } from '../json.ts';
import { contiguousSlices } from '../tensor.ts';
import type { SafetensorsEntry } from './reader.ts';
import { type Entries, type Scheme, scaleTypes } from './scheme.ts';

interface Parameters {
  readonly mode: string;
  readonly bits: number;
  readonly groupSize: number;
}

export interface MlxQuantization extends Parameters {
  /** The file that says so. */
  readonly file: string;
  /** Other parameters for single modules, by module name. */
  readonly modules: ReadonlyMap<string, Parameters>;
}

/** The modes with a fixed form, and what that is. */
const floatModes: Readonly<Record<string, SourceFormat>> = {
  mxfp4: mlxMxfp4,
  mxfp8: mlxMxfp8,
  nvfp4: mlxNvfp4,
};

/** The MLX parameters of a config's `quantization`, or undefined. Throws unsupported for a mode there is none of. */
export function mlxQuantization(quantization: unknown, file: string): MlxQuantization | undefined {
  if (!isJsonObject(quantization)) return undefined;
  const own = parameters(quantization, file, 'quantization', undefined);
  const modules = new Map<string, Parameters>();
  for (const [name, value] of Object.entries(quantization)) {
    if (isJsonObject(value))
      modules.set(name, parameters(value, file, `quantization[${JSON.stringify(name)}]`, own));
  }
  return { ...own, file, modules };
}

/** What a module leaves out is that of all. */
function parameters(value: JsonObject, file: string, field: string, all: Parameters | undefined): Parameters {
  const { mode = value.bits === undefined && all !== undefined ? all.mode : 'affine' } = value;
  const { bits = all?.bits, group_size: groupSize = all?.groupSize } = value;
  if (mode !== 'affine' && (typeof mode !== 'string' || !Object.hasOwn(floatModes, mode))) {
    throw new IngotError(
      'unsupported',
      `${file}: ${field}.mode ${JSON.stringify(mode)} is not supported; use affine, mxfp4, mxfp8 or nvfp4, or a GGUF file`,
    );
  }
  if (!Number.isSafeInteger(bits) || !Number.isSafeInteger(groupSize)) {
    throw new FileFormatError(file, field, 'bits and group_size must be integers');
  }
  return { mode, bits: bits as number, groupSize: groupSize as number };
}

/**
 * The scheme of these parameters; undefined: the config has none, and words cannot be read. Throws FileFormatError for parameters of a
 * module that the files do not have.
 */
export function mlxScheme(quantization: MlxQuantization | undefined): Scheme {
  let checked = quantization === undefined;
  return (entry, entries) => {
    if (!checked && quantization !== undefined) checkModules(quantization, entries);
    checked = true;
    const part = /^(.*)\.(scales|biases)$/.exec(entry.name);
    if (part !== null && entries.get(`${part[1]}.weight`)?.dtype === 'U32') return [];
    if (entry.dtype !== 'U32') return undefined;
    const module = entry.name.replace(/\.weight$/, '');
    const scales = entries.get(`${module}.scales`);
    const biases = entries.get(`${module}.biases`);
    if (scales === undefined) return 'has type U32 but no scales and biases beside it';
    if (quantization === undefined) return 'is quantised but config.json has no quantization';
    const parameters = quantization.modules.get(module) ?? quantization;
    if (parameters.mode === 'affine' && biases === undefined) return 'has type U32 but no biases beside it';
    const parts = parameters.mode === 'affine' && biases !== undefined ? [scales, biases] : [scales];
    const { format, shape } = mlxTensor(module, parameters, entry, parts);
    const slices = contiguousSlices(format, shape, [entry, ...parts]);
    return [{ kind: 'source', name: entry.name, format, shape, slices }];
  };
}

function checkModules({ modules, file }: MlxQuantization, entries: Entries): void {
  if (modules.size === 0) return;
  const known = new Set(Array.from(entries.keys(), (name) => name.replace(/\.[^.]*$/, '')));
  for (const name of modules.keys())
    if (!known.has(name))
      throw new FileFormatError(file, `quantization[${JSON.stringify(name)}]`, 'is no module of the files');
}

/**
 * Format and real shape of a quantised tensor whose stored columns are u32 words.
 * Throws unsupported for parameters without a kernel, FileFormatError when the tensors do not fit together.
 */
function mlxTensor(
  module: string,
  { mode, bits, groupSize }: Parameters,
  weight: SafetensorsEntry,
  parts: readonly SafetensorsEntry[],
): { readonly format: SourceFormat; readonly shape: readonly number[] } {
  const file = weight.source.name;
  const [scales = weight] = parts;
  const format = floatModes[mode] ?? findSourceFormat(`mlx${bits}/${groupSize}/${scaleTypes[scales.dtype]}`);
  const fixed = floatModes[mode];
  if (
    format === undefined ||
    (fixed !== undefined && (fixed.blockBytes !== bits || fixed.layout.group !== groupSize))
  ) {
    const supported =
      fixed === undefined
        ? '2, 3, 4, 5, 6 and 8 bits, groups of 32, 64 and 128, F32, F16 and BF16'
        : `${fixed.blockBytes} bits in groups of ${fixed.layout.group} for ${mode}`;
    throw new IngotError(
      'unsupported',
      `${file}: ${module} has ${bits} bits in groups of ${groupSize} with ${scales.dtype} scales; supported are ${supported}`,
    );
  }
  const dtype = fixed === undefined ? scales.dtype : 'U8';
  const columns = ((weight.shape.at(-1) ?? 0) * 32) / bits;
  const shape = [...weight.shape.slice(0, -1), columns];
  const expected = [...weight.shape.slice(0, -1), columns / groupSize];
  for (const meta of parts) {
    const fits = meta.shape.length === expected.length && meta.shape.every((d, i) => d === expected[i]);
    if (fits && meta.dtype === dtype && columns > 0) continue;
    throw new FileFormatError(
      meta.source.name,
      `tensor ${JSON.stringify(meta.name)}`,
      `must be ${dtype} [${expected}] for codes [${weight.shape}] of ${bits} bits, found ${meta.dtype} [${meta.shape}]`,
    );
  }
  return { format, shape };
}
