// Opens a model on disk: a file of any kind, or a folder.

import { readdir, stat } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { FileFormatError, IngotError } from '../base/errors.ts';
import { type Checkpoint, openSafetensorsFolder, openSource } from './checkpoint.ts';
import { diskFolder, FileSource } from './file-source.ts';

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
  const names = await readdir(folder);
  if (names.some((name) => name.endsWith('.safetensors') || name.endsWith('.safetensors.index.json')))
    return openSafetensorsFolder(diskFolder(folder));
  const models = names.filter(
    (name) => /\.(gguf|ingot)$/.test(name) && !/-(?!00001)\d{5}-of-\d{5}\./.test(name),
  );
  const only = models[0];
  if (models.length === 1 && only !== undefined) return openCheckpoint(join(folder, only));
  if (models.length > 1) {
    throw new IngotError(
      'invalid_argument',
      `${folder}: holds several models, name one: ${models.join(', ')}`,
    );
  }
  throw new IngotError('not_found', `${folder}: holds no safetensors, GGUF or packed model`);
}
