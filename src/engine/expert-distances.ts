// How soon a model's experts came back in its runs on this machine, in the cache folder: what the doctor foresees misses by.

import { mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { type Env, env } from '../base/env.ts';
import { addDistances, enoughDistances } from '../experts/distances.ts';
import type { Checkpoint } from '../weights/checkpoint.ts';
import { fingerprint } from '../weights/packed/writer.ts';

type Folder = Pick<Env, 'cacheDir'>;

const placeOf = async (checkpoint: Checkpoint, { cacheDir }: Folder): Promise<string> =>
  join(cacheDir, 'experts', `${(await fingerprint(checkpoint)).slice(0, 32)}.json`);

/** A file that cannot be read counts as none. */
function read(path: string): readonly number[] {
  try {
    const found: unknown = JSON.parse(readFileSync(path, 'utf8'));
    return Array.isArray(found) && found.every((n) => typeof n === 'number' && n >= 0) ? found : [];
  } catch {
    return [];
  }
}

/** Undefined where no run of this model has counted enough. */
export async function knownDistances(
  checkpoint: Checkpoint,
  folder: Folder = env,
): Promise<readonly number[] | undefined> {
  const found = read(await placeOf(checkpoint, folder));
  return enoughDistances(found) ? found : undefined;
}

/** Adds a run's counts to what is known, whole or not at all; those of a short run, and where nothing can be written, are left out. */
export async function distanceKeeper(
  checkpoint: Checkpoint,
  folder: Folder = env,
): Promise<(distances: readonly number[]) => void> {
  const path = await placeOf(checkpoint, folder);
  return (distances) => {
    if (!enoughDistances(distances)) return;
    const part = `${path}.${process.pid}.part`;
    try {
      mkdirSync(dirname(path), { recursive: true });
      writeFileSync(part, JSON.stringify(addDistances(read(path), distances)));
      renameSync(part, path);
    } catch {
      rmSync(part, { force: true });
    }
  };
}
