// Opens a model on disk: a file of any kind, or a folder.

import { readdir, stat } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { FileFormatError, IngotError } from '../base/errors.ts';
import { type Checkpoint, isSafetensors, openSafetensorsFolder, openSource } from './checkpoint.ts';
import { diskFolder, FileSource } from './file-source.ts';
import { indexName, singleName } from './safetensors/reader.ts';

/**
 * Opens a model file or folder by what it contains, whatever its name. Reads headers only.
 * Rejects with not_found, unsupported, or FileFormatError that names file and field.
 */
export async function openCheckpoint(path: string): Promise<Checkpoint> {
  const status = await stat(path).catch((cause: unknown) => {
    throw new IngotError('not_found', `${path}: no such file or folder`, { cause, details: { path } });
  });
  if (status.isDirectory()) return openFolder(path);
  if (!status.isFile()) throw new FileFormatError(path, 'file', 'is neither a file nor a folder');
  return openSource(await FileSource.open(path), diskFolder(dirname(path)));
}

async function openFolder(folder: string): Promise<Checkpoint> {
  const names = (await readdir(folder)).sort();
  if (names.includes(indexName) || names.includes(singleName))
    return openSafetensorsFolder(diskFolder(folder));
  // Of a model in shards the index, or else the first.
  const shard = (name: string): boolean => {
    const [, model, number] = /^(.*)-(\d{5})-of-\d{5}\./.exec(name) ?? [];
    return number !== undefined && (number !== '00001' || names.includes(`${model}.safetensors.index.json`));
  };
  const tensors = names.filter((name) => isSafetensors(name) && (name.endsWith('.json') || !shard(name)));
  const models = tensors.length > 0 ? tensors : names.filter((n) => /\.(gguf|ingot)$/.test(n) && !shard(n));
  const [only] = models;
  if (models.length > 1) {
    throw new IngotError(
      'invalid_argument',
      `${folder}: holds several models, name one: ${models.join(', ')}`,
    );
  }
  if (only !== undefined) return openCheckpoint(join(folder, only));
  throw new IngotError('not_found', `${folder}: holds no safetensors, GGUF or packed model`);
}
