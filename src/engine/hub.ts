// Models on this machine and on the hub, for library users: what `ingot pull`, `list` and `show` do, as functions.

import { join } from 'node:path';
import { type Env, env } from '../base/env.ts';
import { listCached } from '../hub/cache.ts';
import { nameOfCached } from '../hub/catalog.ts';
import { findLocal, resolveModel } from '../hub/resolve.ts';
import { checkText } from './check.ts';
import type { Preset } from './presets/preset.ts';
import { baseOf, listPresets } from './presets/store.ts';
import type { LoadOptions } from './types.ts';

export type PullOptions = Pick<LoadOptions, 'signal' | 'onProgress' | 'onNotice'>;

/** A model or a preset on this machine. */
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
  return resolveModel(await baseOf(name, env), options);
}

/** The path of a model on this machine; undefined when it would have to be downloaded. Throws `not_found` for an unknown name. */
export async function resolve(name: string): Promise<string | undefined> {
  checkText('name', name);
  return findLocal(await baseOf(name, env));
}

/** The models in the Hugging Face cache of this machine, and the presets that are made of models that are there. */
export async function list(): Promise<readonly LocalModel[]> {
  const cached = await listCached(env.hfHubCache);
  const models = cached.map((model) => ({
    name: nameOfCached(model),
    path: model.file === undefined ? model.folder : join(model.folder, model.file),
    bytes: model.bytes,
  }));
  const presets = (await localPresets(env)).map(({ name, path }) => ({
    name,
    path,
    bytes: models.find((model) => model.path === path)?.bytes ?? 0,
  }));
  return [...models, ...presets];
}

/** The presets whose model is on this machine, with its path. */
export async function localPresets(
  settings: Env,
): Promise<readonly { readonly name: string; readonly path: string; readonly preset: Preset }[]> {
  const found = await Promise.all(
    (await listPresets(settings)).map(async ({ name, preset }) => {
      const path = await findLocal(preset.from, settings).catch(() => undefined);
      return path === undefined ? [] : [{ name, path, preset }];
    }),
  );
  return found.flat();
}
