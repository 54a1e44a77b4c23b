// A GGUF file as a checkpoint: names and config in the Hugging Face dialect, rotary rows put back in order.

import { IngotError } from '../../base/errors.ts';
import { dequantizeSource } from '../../quant/reference.ts';
import type { CheckpointParts } from '../parts.ts';
import type { ByteSource, Folder } from '../source.ts';
import { type CheckpointTensor, contiguousSlices, dimensions, shapeProblem } from '../tensor.ts';
import { ggufArchitecture, huggingFaceConfig } from './config.ts';
import { huggingFaceName, isRotaryPermuted, rotaryRowMap } from './names.ts';
import { type GgufFile, type GgufTensor, readGguf } from './reader.ts';

/**
 * Opens a GGUF file; its other shards come from `folder`. Rejects like `readGguf`, and with unsupported for an architecture
 * this build cannot run.
 */
export async function openGgufCheckpoint(source: ByteSource, folder: Folder): Promise<CheckpointParts> {
  const file = await readGguf(source, async (name) => {
    const shard = await folder.open(name);
    if (shard !== undefined) return shard;
    throw new IngotError('not_found', `${folder.path}/${name}: no such file; ${source.name} needs it`);
  });
  try {
    return await ggufCheckpoint(source.name, file);
  } catch (error) {
    await file.close();
    throw error;
  }
}

/** The checkpoint of an open GGUF file; closing it closes the file. */
export async function ggufCheckpoint(path: string, file: GgufFile): Promise<CheckpointParts> {
  const architecture = ggufArchitecture(file.metadata, path);
  const config = huggingFaceConfig(file.metadata, {
    file: path,
    shape: (name) => file.tensors.get(name)?.shape,
    ropeFactors: await readFactors(file.tensors.get('rope_freqs.weight')),
  });
  const tensors = new Map<string, CheckpointTensor>();
  const unusable = new Map<string, string>();
  for (const tensor of file.tensors.values()) {
    const name = huggingFaceName(tensor.name);
    const problem = shapeProblem(tensor.shape);
    if (name === undefined) unusable.set(tensor.name, 'has no counterpart in the model');
    else if (problem !== undefined) unusable.set(name, problem);
    else tensors.set(name, convert(tensor, name, architecture, Number(config.head_dim)));
  }
  return {
    path,
    kind: 'gguf',
    config,
    tensors,
    unusable,
    metadata: file.metadata,
    files: [],
    readFile: async () => undefined,
    close: file.close,
  };
}

/** Far above heads x headDim of any model: bounds the row map. */
const maxRotaryRows = 2 ** 20;

function convert(tensor: GgufTensor, name: string, architecture: string, headDim: number): CheckpointTensor {
  const { shape, format, source, offset } = tensor;
  const rows = shape.length === 1 ? (shape[0] ?? 0) : dimensions(shape).rows;
  const permuted = isRotaryPermuted(architecture, name);
  if (permuted && (rows % headDim !== 0 || rows > maxRotaryRows)) {
    throw new IngotError(
      'shape_mismatch',
      `${source.name}: ${tensor.name} has ${rows} rows, not whole heads of ${headDim}`,
    );
  }
  const rowMap = permuted ? rotaryRowMap(rows, headDim) : undefined;
  const slices = contiguousSlices(format, shape, [{ source, offset }]);
  return { kind: 'source', name, shape, format, slices, ...(rowMap === undefined ? {} : { rowMap }) };
}

const maxFactors = 4096;

async function readFactors(tensor: GgufTensor | undefined): Promise<Float32Array | undefined> {
  if (tensor === undefined) return undefined;
  const { shape, format, source, offset, bytes, name } = tensor;
  const count = shape[0] ?? 0;
  if (shape.length !== 1 || count > maxFactors) {
    throw new IngotError(
      'shape_mismatch',
      `${source.name}: ${name} must be a vector, found [${shape.join(', ')}]`,
    );
  }
  const factors = dequantizeSource(format, [await source.read(offset, bytes)], 1, count);
  if (factors.every((value) => value > 0 && Number.isFinite(value))) return factors;
  throw new IngotError('bad_file', `${source.name}: ${name} has values that are not positive numbers`);
}
