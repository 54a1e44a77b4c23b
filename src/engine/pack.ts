// Writes the packed form of a model: it opens by mapping, without repacking weights at every start.

import { stat } from 'node:fs/promises';
import { basename } from 'node:path';
import { IngotError } from '../base/errors.ts';
import { besidePath } from '../experts/beside.ts';
import { resolveModel } from '../hub/resolve.ts';
import { modelCheckpoint } from '../models/files/translate.ts';
import { openCheckpoint } from '../weights/open.ts';
import { writePackedFile } from '../weights/packed/writer.ts';
import { filePacker } from './packer.ts';
import type { LoadProgress } from './types.ts';

export interface PackOptions {
  /** Default: the model's file or folder name with `.ingot`, in the current folder. */
  readonly output?: string | undefined;
  /** Experts as blocks that are read with one request: in `output` with everything else, without it alone in a file beside the model. */
  readonly experts?: boolean | undefined;
  readonly signal?: AbortSignal | undefined;
  readonly onProgress?: ((progress: LoadProgress) => void) | undefined;
  readonly onNotice?: ((text: string) => void) | undefined;
}

export interface PackResult {
  readonly path: string;
  readonly bytes: number;
}

/** Packs a model, downloading it first when needed. Throws invalid_argument when the output exists or the model is packed. */
export async function packModel(nameOrPath: string, options: PackOptions = {}): Promise<PackResult> {
  const { signal, onProgress, onNotice, experts = false } = options;
  const source = await resolveModel(nameOrPath, { signal, onProgress, onNotice });
  const beside = experts && options.output === undefined;
  const path = beside
    ? besidePath(source)
    : (options.output ?? `${basename(source).replace(/\.gguf$/i, '')}.ingot`);
  // What lies beside the model may be of an earlier version of it.
  if (!beside && (await stat(path).catch(() => undefined))) {
    throw new IngotError('invalid_argument', `${path} exists; remove it or name another file`, {
      details: { path },
    });
  }
  const checkpoint = await modelCheckpoint(openCheckpoint(source));
  const pack = filePacker();
  try {
    await writePackedFile(path, checkpoint, {
      ...(pack ? { pack } : {}),
      ...(experts ? { experts: beside ? 'alone' : 'blocks' } : {}),
      ...(signal ? { signal } : {}),
      onProgress: (progress) => onProgress?.({ phase: 'load', ...progress }),
    });
  } finally {
    await checkpoint.close();
  }
  return { path, bytes: (await stat(path)).size };
}
