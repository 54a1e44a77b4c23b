// The folder of prefixes that a load asks for.

import { IngotError } from '../../base/errors.ts';
import { fingerprint, packableTensors, sourceFiles, sourcesOf } from '../../weights/packed/writer.ts';
import type { ArchivedModel } from '../place.ts';
import type { LoadOptions } from '../types.ts';
import { PrefixFolder } from './folder.ts';

const defaultBytes = 8e9;
/** Another number where rows of a name mean something else than before: 2, keys in 4 bits are rotated. */
const rowsVersion = 2;

/** Undefined when none is asked for. The model is known by its files: their sizes, times, beginnings and ends. */
export async function openPrefixFolder(
  { checkpoint, specs, dtype, contextLength, computed }: ArchivedModel,
  { prefixDir, prefixDirBytes, onNotice }: LoadOptions,
): Promise<PrefixFolder | undefined> {
  if (prefixDir === undefined) {
    if (prefixDirBytes === undefined) return undefined;
    throw new IngotError(
      'invalid_argument',
      'prefixDirBytes says how much prefixDir may hold: name a folder, too',
    );
  }
  const tensors = packableTensors(checkpoint);
  const files = await sourceFiles(sourcesOf(tensors));
  return PrefixFolder.open({
    folder: prefixDir,
    identity: [await fingerprint(checkpoint, tensors), files, specs, dtype, computed, rowsVersion],
    specs,
    dtype,
    contextLength,
    maxBytes: prefixDirBytes ?? defaultBytes,
    onNotice,
  });
}
