// A folder of safetensors as a checkpoint of its own names: plain float tensors and MLX-quantised ones.

import { FileFormatError, IngotError } from '../../base/errors.ts';
import type { SourceFormat } from '../../quant/format.ts';
import { bf16, f16, f32 } from '../../quant/formats/float.ts';
import { type JsonObject, parseJsonObject } from '../json.ts';
import type { CheckpointParts } from '../parts.ts';
import type { Folder } from '../source.ts';
import { type CheckpointTensor, contiguousSlices, shapeProblem } from '../tensor.ts';
import { type MlxQuantization, mlxQuantization, mlxTensor } from './mlx.ts';
import { type OpenInFolder, openSafetensors, type SafetensorsEntry } from './reader.ts';

const configName = 'config.json';
const maxSmallFile = 256 * 2 ** 20;
/** Files that tokenizers, templates and generation defaults are read from. */
const smallFiles = [
  configName,
  'tokenizer.json',
  'tokenizer_config.json',
  'special_tokens_map.json',
  'generation_config.json',
  'chat_template.jinja',
  'chat_template.json',
];

/** Opens a model folder. Rejects with not_found, unsupported or FileFormatError. */
export async function openSafetensorsCheckpoint(folder: Folder): Promise<CheckpointParts> {
  const config = await readSmall(folder, configName);
  if (config === undefined)
    throw new IngotError('not_found', `${folder.path}: has no ${configName}, which says what the model is`);
  const parsed = parseJsonObject(config, `${folder.path}/${configName}`, 'config');
  return safetensorsCheckpoint(folder.path, parsed, (name) => folder.open(name), {
    files: smallFiles,
    readFile: (name) => readSmall(folder, name),
  });
}

async function readSmall(folder: Folder, name: string): Promise<Uint8Array | undefined> {
  const source = await folder.open(name);
  if (source === undefined) return undefined;
  try {
    if (source.size > maxSmallFile)
      throw new FileFormatError(source.name, 'size', `${source.size} bytes is not plausible`);
    return await source.read(0, source.size);
  } finally {
    await source.close();
  }
}

/** The checkpoint over an already parsed config and any way to open files by name. */
export async function safetensorsCheckpoint(
  folder: string,
  config: JsonObject,
  openFile: OpenInFolder,
  small: Pick<CheckpointParts, 'files' | 'readFile'>,
): Promise<CheckpointParts> {
  const quantization = mlxQuantization(config, `${folder}/${configName}`);
  const { entries, sources } = await openSafetensors(folder, openFile);
  const close = async (): Promise<void> => {
    await Promise.all(sources.map((source) => source.close()));
  };
  try {
    const unusable = new Map<string, string>();
    const tensors = new Map<string, CheckpointTensor>();
    for (const entry of entries.values()) {
      const converted = convert(entry, entries, quantization);
      if (typeof converted === 'string') unusable.set(entry.name, converted);
      else tensors.set(entry.name, converted);
    }
    return { path: folder, kind: 'safetensors', config, tensors, unusable, ...small, close };
  } catch (error) {
    await close();
    throw error;
  }
}

const floatFormats: Readonly<Record<string, SourceFormat>> = { F32: f32, F16: f16, BF16: bf16 };

/** The tensor of an entry, or why it cannot be used. */
function convert(
  entry: SafetensorsEntry,
  entries: ReadonlyMap<string, SafetensorsEntry>,
  quantization: MlxQuantization | undefined,
): CheckpointTensor | string {
  const { name, shape, dtype } = entry;
  const problem = shapeProblem(shape);
  if (problem !== undefined) return problem;
  const format = floatFormats[dtype];
  if (format !== undefined)
    return { kind: 'source', name, shape, format, slices: contiguousSlices(format, shape, [entry]) };
  if (dtype !== 'U32') return `has type ${dtype}; F32, F16, BF16 and MLX-quantised can be used`;
  const module = name.replace(/\.weight$/, '');
  const scales = entries.get(`${module}.scales`);
  const biases = entries.get(`${module}.biases`);
  if (scales === undefined || biases === undefined) return 'has type U32 but no scales and biases beside it';
  if (quantization === undefined) return 'is quantised but config.json has no quantization';
  const quantized = mlxTensor(module, quantization, entry, scales, biases);
  const slices = contiguousSlices(quantized.format, quantized.shape, [entry, scales, biases]);
  return { kind: 'source', name, ...quantized, slices };
}
