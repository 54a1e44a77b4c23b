// A GGUF file as a checkpoint of its own names. What they mean is known to the model families.

import { IngotError } from '../../base/errors.ts';
import type { CheckpointParts } from '../parts.ts';
import type { ByteSource, Folder } from '../source.ts';
import { type CheckpointTensor, contiguousSlices, shapeProblem } from '../tensor.ts';
import { type GgufFile, type GgufTensor, readGguf } from './reader.ts';

/** Opens a GGUF file; its other shards come from `folder`. Rejects like `readGguf`. */
export async function openGgufCheckpoint(source: ByteSource, folder: Folder): Promise<CheckpointParts> {
  const file = await readGguf(source, async (name) => {
    const shard = await folder.open(name);
    if (shard !== undefined) return shard;
    throw new IngotError('not_found', `${folder.path}/${name}: no such file; ${source.name} needs it`);
  });
  return ggufCheckpoint(source.name, file);
}

/** The checkpoint of an open GGUF file; closing it closes the file. */
export function ggufCheckpoint(path: string, file: GgufFile): CheckpointParts {
  const tensors = new Map<string, CheckpointTensor>();
  const unusable = new Map<string, string>();
  for (const tensor of file.tensors.values()) {
    const problem = shapeProblem(tensor.shape);
    if (problem === undefined) tensors.set(tensor.name, convert(tensor));
    else unusable.set(tensor.name, problem);
  }
  return {
    path,
    kind: 'gguf',
    config: {},
    tensors,
    unusable,
    metadata: file.metadata,
    files: [],
    readFile: async () => undefined,
    close: file.close,
  };
}

function convert({ name, shape, format, source, offset }: GgufTensor): CheckpointTensor {
  return {
    kind: 'source',
    name,
    shape,
    format,
    slices: contiguousSlices(format, shape, [{ source, offset }]),
  };
}
