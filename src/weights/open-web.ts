// Opens a model that a page has: behind an address, in files that a user chose, or in memory.

import { IngotError } from '../base/errors.ts';
import { BlobSource, chosenFiles, type NamedBlob } from './blob-source.ts';
import { type Checkpoint, isSafetensors, openSafetensorsFolder, openSource } from './checkpoint.ts';
import { MemorySource } from './source.ts';
import { type FetchOptions, openUrl, urlFolder } from './url-source.ts';

/**
 * The address of a GGUF or packed file, of a safetensors file, or of a folder with safetensors (it ends in `/`); a file that
 * a user chose, or all files of a model; or the bytes of a file.
 */
export type ModelSource = string | URL | Blob | ArrayBuffer | Uint8Array | readonly Blob[];

/** Opens a model's headers. Rejects like `openSource`, and with not_found, invalid_argument or download_failed. */
export async function openModel(source: ModelSource, options: FetchOptions): Promise<Checkpoint> {
  if (typeof source === 'string' || source instanceof URL) return openAddress(addressOf(source), options);
  if (source instanceof Blob) return openSource(new BlobSource(source), chosenFiles([source]));
  if (source instanceof ArrayBuffer || source instanceof Uint8Array)
    return openSource(new MemorySource(new Uint8Array(source)), chosenFiles([]));
  return openChosen(source);
}

/** What messages and `model.info` call a model. */
export function modelName(source: ModelSource): string {
  if (typeof source === 'string' || source instanceof URL)
    return addressOf(source).pathname.split('/').filter(Boolean).at(-1) ?? 'model';
  if (Array.isArray(source)) return mainFile(source)?.name ?? 'model';
  return (source as NamedBlob).name ?? 'model';
}

function fileName(url: URL): string {
  const name = url.pathname.split('/').at(-1) ?? '';
  try {
    return decodeURIComponent(name);
  } catch {
    return name; // a percent sign that stands for itself
  }
}

/** Relative addresses count from the page. */
function addressOf(source: string | URL): URL {
  const page = globalThis as { document?: { baseURI: string }; location?: { href: string } };
  try {
    return new URL(source, page.document?.baseURI ?? page.location?.href);
  } catch (cause) {
    throw new IngotError('invalid_argument', `'${source}' is not an address of a model`, { cause });
  }
}

async function openAddress(url: URL, options: FetchOptions): Promise<Checkpoint> {
  const folder = urlFolder(new URL('.', url), options);
  if (url.pathname.endsWith('/')) return openSafetensorsFolder(folder);
  if (isSafetensors(url.pathname)) return openSafetensorsFolder(folder, fileName(url));
  const source = await openUrl(url, options);
  if (source !== undefined) return openSource(source, folder);
  throw new IngotError(
    'not_found',
    `${url.origin}${url.pathname}: there is no such file; give the address of a GGUF file, or of a folder that ends in /`,
  );
}

/** Of several files the one that names the model: a GGUF or packed file, the first shard of one. */
const mainFile = (files: readonly NamedBlob[]): NamedBlob | undefined =>
  files.find(({ name = '' }) => /\.(gguf|ingot)$/.test(name) && !/-(?!00001)\d{5}-of-\d{5}\./.test(name));

function openChosen(files: readonly NamedBlob[]): Promise<Checkpoint> {
  const folder = chosenFiles(files);
  const main = files.length === 1 ? files[0] : mainFile(files);
  return main ? openSource(new BlobSource(main), folder) : openSafetensorsFolder(folder);
}
