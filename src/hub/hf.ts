// Files on the Hugging Face hub (or HF_ENDPOINT): what a repository holds, which of it a model needs, and where to get it.
// https://huggingface.co/docs/hub/api

import { readFile } from 'node:fs/promises';
import type { Env } from '../base/env.ts';
import { IngotError } from '../base/errors.ts';
import type { BlobSource } from './blob.ts';
import { type HttpOptions, open, readText } from './http.ts';
import { transfer } from './transfer.ts';

export interface HubFile {
  readonly file: string;
  readonly bytes: number;
  /** Name of the blob in the cache: SHA-256 of large files, git's object id of small ones. */
  readonly blob: string;
}

export interface HubListing {
  readonly commit: string;
  readonly files: readonly HubFile[];
}

/** The token of HF_TOKEN or of the file that `huggingface-cli login` writes. */
export async function hubToken(env: Env): Promise<string | undefined> {
  if (env.hfToken !== undefined) return env.hfToken;
  const text = await readFile(env.hfTokenPath, 'utf8').catch(() => '');
  return text.trim() || undefined;
}

async function hubHttp(env: Env, signal: AbortSignal | undefined): Promise<HttpOptions> {
  const token = await hubToken(env);
  return { signal, headers: token === undefined ? {} : { authorization: `Bearer ${token}` } };
}

const encodePath = (path: string): string => path.split('/').map(encodeURIComponent).join('/');

/** Files of a repository at a branch, tag or commit. Throws download_failed. */
export async function listHub(
  repo: string,
  revision: string,
  env: Env,
  signal?: AbortSignal,
): Promise<HubListing> {
  const url = `${env.hfEndpoint}/api/models/${repo}/revision/${encodeURIComponent(revision)}?blobs=true`;
  const text = await readText(await open(url, await hubHttp(env, signal)));
  const bad = (what: string, cause?: unknown) =>
    new IngotError('download_failed', `${env.hfEndpoint} sent ${what} for ${repo}`, { cause });
  let answer: unknown;
  try {
    answer = JSON.parse(text);
  } catch (cause) {
    throw bad('an answer that is not JSON', cause);
  }
  const { sha, siblings } = (answer ?? {}) as { sha?: unknown; siblings?: unknown };
  if (typeof sha !== 'string' || !/^[0-9a-f]{40}$/.test(sha) || !Array.isArray(siblings)) {
    throw bad('an answer without a commit and files');
  }
  return { commit: sha, files: siblings.flatMap(toFile) };
}

function toFile(
  value: { rfilename?: unknown; size?: unknown; blobId?: unknown; lfs?: { sha256?: unknown } } | null,
): HubFile[] {
  const { rfilename: file, size, blobId, lfs } = value ?? {};
  const blob = lfs?.sha256 ?? blobId;
  if (typeof file !== 'string' || typeof size !== 'number' || typeof blob !== 'string') return [];
  // Both become paths in the cache.
  if (
    !/^[0-9a-f]{40,64}$/.test(blob) ||
    file.includes('\0') ||
    file.split(/[/\\]/).some((part) => part === '' || part === '..' || part === '.')
  )
    return [];
  return [{ file, bytes: size, blob }];
}

/** The bytes of one file of a repository. */
export async function hubBlob(
  repo: string,
  commit: string,
  file: HubFile,
  env: Env,
  signal?: AbortSignal,
): Promise<BlobSource> {
  const http = await hubHttp(env, signal);
  return {
    id: `${repo} ${file.blob}`,
    compression: 'none',
    transferBytes: file.bytes,
    fetch: (partial, onBytes, held = signal) =>
      transfer({
        url: `${env.hfEndpoint}/${repo}/resolve/${commit}/${encodePath(file.file)}`,
        http,
        partial,
        start: 0,
        length: file.bytes,
        signal: held,
        onBytes,
      }),
  };
}
