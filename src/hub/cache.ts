// The cache of hub files in Hugging Face's layout, shared with every other tool that uses it:
// models--user--repo/{blobs/<checksum>, snapshots/<commit>/<file> -> blob, refs/<branch> holding a commit}.
// https://huggingface.co/docs/huggingface_hub/guides/manage-cache

import type { Dirent } from 'node:fs';
import {
  copyFile,
  link,
  mkdir,
  readdir,
  readFile,
  realpath,
  rename,
  rm,
  stat,
  symlink,
  writeFile,
} from 'node:fs/promises';
import { dirname, join, relative, sep } from 'node:path';

const commitForm = /^[0-9a-f]{40}$/;
const prefix = 'models--';

export const repoFolder = (cache: string, repo: string): string =>
  join(cache, prefix + repo.replace('/', '--'));
export const blobPath = (cache: string, repo: string, blob: string): string =>
  join(repoFolder(cache, repo), 'blobs', blob);
export const snapshotFolder = (cache: string, repo: string, commit: string): string =>
  join(repoFolder(cache, repo), 'snapshots', commit);

/** The commit a branch, tag or commit name stands for in the cache. */
export async function cachedCommit(
  cache: string,
  repo: string,
  revision: string,
): Promise<string | undefined> {
  if (commitForm.test(revision)) return revision;
  const text = await readFile(join(repoFolder(cache, repo), 'refs', revision), 'utf8').catch(() => undefined);
  const commit = text?.trim() ?? '';
  return /^[\w-]+$/.test(commit) ? commit : undefined;
}

/** Path of a cached file, if it is there (a dangling link is not) and, when given, has the right size. */
export async function cachedFile(
  cache: string,
  repo: string,
  commit: string,
  file: string,
  bytes?: number,
): Promise<string | undefined> {
  const path = join(snapshotFolder(cache, repo, commit), file);
  const found = await stat(path).catch(() => undefined);
  return found?.isFile() && (bytes === undefined || found.size === bytes) ? path : undefined;
}

/** Makes a finished blob visible as `file` of a snapshot. Replaces a dangling or older link. */
export async function linkIntoSnapshot(
  cache: string,
  repo: string,
  commit: string,
  file: string,
  blob: string,
): Promise<string> {
  const target = blobPath(cache, repo, blob);
  const path = join(snapshotFolder(cache, repo, commit), file);
  await mkdir(dirname(path), { recursive: true });
  const temporary = `${path}.${process.pid}.tmp`;
  await rm(temporary, { force: true });
  try {
    await symlink(relative(dirname(path), target), temporary);
  } catch {
    // Some systems allow no symbolic links to ordinary users.
    await link(target, temporary).catch(() => copyFile(target, temporary));
  }
  await rename(temporary, path);
  return path;
}

/** Notes which commit a branch had when it was downloaded. */
export async function writeRef(cache: string, repo: string, revision: string, commit: string): Promise<void> {
  if (revision === commit) return;
  const path = join(repoFolder(cache, repo), 'refs', revision);
  await mkdir(dirname(path), { recursive: true });
  await writeFile(path, commit);
}

/** Files of a snapshot, relative, with sizes; dangling links are left out. */
export async function snapshotFiles(folder: string): Promise<{ file: string; bytes: number }[]> {
  const entries: Dirent[] = await readdir(folder, { recursive: true, withFileTypes: true }).catch(() => []);
  const files = entries.map(async (entry) => {
    const path = join(entry.parentPath ?? entry.path, entry.name);
    const found = await stat(path).catch(() => undefined);
    return found?.isFile() ? [{ file: relative(folder, path).split(sep).join('/'), bytes: found.size }] : [];
  });
  return (await Promise.all(files)).flat().sort((a, b) => (a.file < b.file ? -1 : 1));
}

export interface CachedModel {
  readonly repo: string;
  readonly commit: string;
  readonly folder: string;
  /** A .gguf file, the first of its parts, or undefined for a folder of safetensors. */
  readonly file: string | undefined;
  /** Of all parts. */
  readonly bytes: number;
}

/** Every model in the cache: one entry per GGUF file, split or not, and one per snapshot with safetensors. */
export async function listCached(cache: string): Promise<CachedModel[]> {
  const names = await readdir(cache).catch(() => []);
  const models: CachedModel[] = [];
  for (const name of names.filter((each) => each.startsWith(prefix)).sort()) {
    const repo = name.slice(prefix.length).replace('--', '/');
    const snapshots = join(cache, name, 'snapshots');
    for (const commit of await readdir(snapshots).catch(() => [])) {
      models.push(
        ...modelsIn(repo, commit, join(snapshots, commit), await snapshotFiles(join(snapshots, commit))),
      );
    }
  }
  return models;
}

function modelsIn(
  repo: string,
  commit: string,
  folder: string,
  files: { file: string; bytes: number }[],
): CachedModel[] {
  const ggufs = files.filter(({ file }) => file.endsWith('.gguf') && partOf(file) <= 1);
  const tensors = files.filter(({ file }) => file.endsWith('.safetensors'));
  const whole = { repo, commit, folder };
  return [
    ...ggufs.map(({ file }) => ({ ...whole, file, bytes: sumOf(partsOf(file, files)) })),
    ...(tensors.length > 0 ? [{ ...whole, file: undefined, bytes: sumOf(files) }] : []),
  ];
}

const partForm = /-(\d{5})(-of-\d{5}\.gguf)$/;

/** Which part of a split file this is; 0 for one that is whole. */
const partOf = (file: string): number => Number(partForm.exec(file)?.[1] ?? 0);

/** The files of which `file` is the first part, or itself. */
function partsOf<T extends { readonly file: string }>(file: string, files: readonly T[]): T[] {
  const match = partForm.exec(file);
  if (!match) return files.filter((each) => each.file === file);
  const start = file.slice(0, match.index);
  const rest = match[2] ?? '';
  return files.filter(
    (each) =>
      each.file.startsWith(start) &&
      partForm.exec(each.file)?.[2] === rest &&
      each.file.length === file.length,
  );
}

const sumOf = (files: readonly { readonly bytes: number }[]): number =>
  files.reduce((sum, { bytes }) => sum + bytes, 0);

/**
 * Deletes a model: its links, the blobs behind them that no other snapshot uses, then what is left empty of the repository: a
 * snapshot without files with the branches that name it, or all of it.
 * Returns the bytes freed.
 */
export async function removeCached(cache: string, model: CachedModel): Promise<number> {
  const files = await snapshotFiles(model.folder);
  const doomed = model.file === undefined ? files : partsOf(model.file, files);
  const folder = repoFolder(cache, model.repo);
  const blobs = await realpath(join(folder, 'blobs')).catch(() => join(folder, 'blobs'));
  const behind = new Map<string, number>();
  for (const { file, bytes } of doomed) {
    const path = join(model.folder, file);
    behind.set(await realpath(path), bytes);
    await rm(path);
  }
  let freed = 0;
  const used = await blobsInUse(join(folder, 'snapshots'));
  for (const [blob, bytes] of behind) {
    if (used.has(blob)) continue;
    if (dirname(blob) === blobs) await rm(blob, { force: true });
    freed += bytes;
  }
  if (await isUnused(cache, model.repo)) await rm(folder, { recursive: true, force: true });
  else if ((await snapshotFiles(model.folder)).length === 0) {
    await removeRefs(join(folder, 'refs'), model.commit);
    await rm(model.folder, { recursive: true, force: true });
  }
  return freed;
}

/** Branches and tags that name a commit. */
async function removeRefs(refs: string, commit: string): Promise<void> {
  for (const { file } of await snapshotFiles(refs)) {
    const path = join(refs, file);
    if ((await readFile(path, 'utf8')).trim() === commit) await rm(path, { force: true });
  }
}

/** What the links of all snapshots lead to. */
async function blobsInUse(snapshots: string): Promise<Set<string>> {
  const files = await snapshotFiles(snapshots);
  return new Set(await Promise.all(files.map(({ file }) => realpath(join(snapshots, file)))));
}

async function isUnused(cache: string, repo: string): Promise<boolean> {
  return (await snapshotFiles(join(repoFolder(cache, repo), 'snapshots'))).length === 0;
}
