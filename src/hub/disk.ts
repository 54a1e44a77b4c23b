// Room on the disk: asked for before a download, and told apart from other errors when it runs out after all.

import { statfs } from 'node:fs/promises';
import { IngotError } from '../base/errors.ts';
import { formatBytes } from '../base/text.ts';

/** Bytes a user may still write in `folder`; Infinity where the system does not say. */
export async function freeBytes(folder: string): Promise<number> {
  try {
    const { bavail, bsize } = await statfs(folder);
    return bavail * bsize;
  } catch {
    return Number.POSITIVE_INFINITY;
  }
}

/** Throws disk_full when `folder` has less than `needed` bytes left. */
export async function requireSpace(
  folder: string,
  needed: number,
  free: (folder: string) => Promise<number> = freeBytes,
): Promise<void> {
  const left = await free(folder);
  if (left >= needed) return;
  throw new IngotError(
    'disk_full',
    `not enough room in ${folder}: ${formatBytes(needed)} needed, ${formatBytes(left)} free; free some, or set HF_HOME to a folder on another disk`,
    { details: { folder, needed, free: left } },
  );
}

export const isDiskFull = (error: unknown): boolean =>
  error instanceof Error && ['ENOSPC', 'EDQUOT'].includes((error as NodeJS.ErrnoException).code ?? '');

/** The error a user should see when writing `path` failed with `error`. */
export function writeError(error: unknown, path: string): unknown {
  if (!isDiskFull(error)) return error;
  return new IngotError(
    'disk_full',
    `the disk is full: writing ${path} failed; free some room, or set HF_HOME to a folder on another disk`,
    {
      cause: error,
      details: { path },
    },
  );
}
