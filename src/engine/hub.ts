// Models on this machine and on the hub, for library users: what `ingot pull`, `list` and `show` do, as functions.

import { join } from 'node:path';
import { env } from '../base/env.ts';
import { listCached } from '../hub/cache.ts';
import { nameOfCached } from '../hub/catalog.ts';
import { findLocal, resolveModel } from '../hub/resolve.ts';
import { checkText } from './check.ts';
import type { LoadOptions } from './types.ts';

export type PullOptions = Pick<LoadOptions, 'signal' | 'onProgress' | 'onNotice'>;

/** A model on this machine. */
export interface LocalModel {
  /** What `load` takes. */
  readonly name: string;
  readonly path: string;
  readonly bytes: number;
}

/**
 * Downloads what is missing of a model, and gives its path on this machine.
 * @throws IngotError `not_found`, `download_failed`, `disk_full`; the signal's reason when aborted.
 */
export async function pull(name: string, options: PullOptions = {}): Promise<string> {
  checkText('name', name);
  return resolveModel(name, options);
}

/** The path of a model on this machine; undefined when it would have to be downloaded. Throws `not_found` for an unknown name. */
export async function resolve(name: string): Promise<string | undefined> {
  checkText('name', name);
  return findLocal(name);
}

/** The models in the Hugging Face cache of this machine. */
export async function list(): Promise<readonly LocalModel[]> {
  const found = await listCached(env.hfHubCache);
  return found.map((model) => ({
    name: nameOfCached(model),
    path: model.file === undefined ? model.folder : join(model.folder, model.file),
    bytes: model.bytes,
  }));
}
