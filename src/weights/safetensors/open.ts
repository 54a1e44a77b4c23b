// A folder of safetensors as a checkpoint of its own names: plain float tensors and quantised ones.

import { FileFormatError, IngotError } from '../../base/errors.ts';
import type { SourceFormat } from '../../quant/format.ts';
import { bf16, f16, f32 } from '../../quant/formats/float.ts';
import { DerivedParts } from '../derived-source.ts';
import { type JsonObject, parseJsonObject } from '../json.ts';
import type { CheckpointParts } from '../parts.ts';
import type { Folder } from '../source.ts';
import {
  type CheckpointTensor,
  contiguousSlices,
  fileOf,
  type SourceTensor,
  shapeProblem,
} from '../tensor.ts';
import { readStates } from './bitsandbytes.ts';
import { quantizationSchemes } from './quantization.ts';
import { type OpenInFolder, openSafetensors, type SafetensorsEntry } from './reader.ts';
import { badEntry, bytesOf, type Entries, readAll, type Scheme } from './scheme.ts';

const configName = 'config.json';
const maxSmallFile = 256 * 2 ** 20;
/** Files that tokenizers, templates and generation defaults are read from. */
const smallFiles = [
  configName,
  'tokenizer.json',
  'tokenizer.model',
  'spiece.model',
  'sentencepiece.bpe.model',
  'added_tokens.json',
  'vocab.json',
  'tokenizer_config.json',
  'special_tokens_map.json',
  'generation_config.json',
  'chat_template.jinja',
  'chat_template.json',
];

/** Opens a model folder, or the model of one `file` in it. Rejects with not_found, unsupported or FileFormatError. */
export async function openSafetensorsCheckpoint(folder: Folder, file?: string): Promise<CheckpointParts> {
  const config = await readSmall(folder, configName);
  if (config === undefined)
    throw new IngotError('not_found', `${folder.path}: has no ${configName}, which says what the model is`);
  const parsed = parseJsonObject(config, `${folder.path}/${configName}`, 'config');
  return safetensorsCheckpoint(folder.path, parsed, {
    openFile: (name) => folder.open(name),
    file,
    small: { files: smallFiles, readFile: (name) => readSmall(folder, name) },
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

export interface SafetensorsParts {
  /** Opens the files of tensors by name. */
  readonly openFile: OpenInFolder;
  /** The one to open; default: the folder's model. */
  readonly file?: string | undefined;
  readonly small: Pick<CheckpointParts, 'files' | 'readFile'>;
}

/** The checkpoint over an already parsed config and any way to open files by name. */
export async function safetensorsCheckpoint(
  folder: string,
  config: JsonObject,
  { openFile, file, small }: SafetensorsParts,
): Promise<CheckpointParts> {
  const { entries, sources } = await openSafetensors(folder, openFile, file);
  const close = async (): Promise<void> => {
    await Promise.all(sources.map((source) => source.close()));
  };
  try {
    const schemes = quantizationSchemes(config, `${folder}/${configName}`, await readStates(entries));
    const unusable = new Map<string, string>();
    const tensors = new Map<string, CheckpointTensor>();
    for (const entry of entries.values()) {
      const converted = convert(entry, entries, schemes);
      if (typeof converted === 'string') unusable.set(entry.name, converted);
      else for (const tensor of converted) tensors.set(tensor.name, tensor);
    }
    return { path: folder, kind: 'safetensors', config, tensors, unusable, ...small, close };
  } catch (error) {
    await close();
    throw error;
  }
}

const floatFormats: Readonly<Record<string, SourceFormat>> = { F32: f32, F16: f16, BF16: bf16 };

/** The tensors an entry stands for, or why it cannot be used. */
function convert(
  entry: SafetensorsEntry,
  entries: Entries,
  schemes: readonly Scheme[],
): readonly CheckpointTensor[] | string {
  for (const scheme of schemes) {
    const found = scheme(entry, entries);
    if (typeof found === 'string') return found;
    if (found !== undefined) return found.map(checkedTensor);
  }
  const { name, shape, dtype } = entry;
  const problem = shapeProblem(shape);
  if (problem !== undefined) return problem;
  if (shape.length === 2 && (dtype === 'I64' || dtype === 'I32')) return [integerTable(entry)];
  const format = floatFormats[dtype];
  if (format === undefined)
    return `has type ${dtype}; F32, F16, BF16 and what quantization_config describes can be used`;
  return [{ kind: 'source', name, shape, format, slices: contiguousSlices(format, shape, [entry]) }];
}

/** A matrix of whole numbers, such as a table of experts by token, as f32: exact up to 2^24, which the values are checked against. */
function integerTable(entry: SafetensorsEntry): SourceTensor {
  const { name, shape, dtype } = entry;
  const count = shape.reduce((product, n) => product * n, 1);
  const parts = new DerivedParts(entry.source.name, [4 * count], async () => {
    const bytes = await readAll(entry);
    const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    const values = Array.from({ length: count }, (_, i) =>
      dtype === 'I64' ? Number(view.getBigInt64(8 * i, true)) : view.getInt32(4 * i, true),
    );
    const large = values.find((value) => Math.abs(value) > 2 ** 24);
    if (large !== undefined) badEntry(entry, `holds ${large}; whole numbers up to 2^24 can be used`);
    return [bytesOf(values, 'f32')];
  });
  const slices = contiguousSlices(f32, shape, [{ source: parts.source(0), offset: 0 }]);
  return { kind: 'source', name, shape, format: f32, slices };
}

function checkedTensor(tensor: CheckpointTensor): CheckpointTensor {
  const problem = shapeProblem(tensor.shape);
  if (problem === undefined) return tensor;
  throw new FileFormatError(fileOf(tensor), `tensor ${JSON.stringify(tensor.name)}`, problem);
}
