// Arrays in files: the kind is told by the end of the name.

import { IngotError } from '../../base/errors.ts';
import { NDArray } from '../array.ts';
import { fromNpy, toNpy } from './npy.ts';
import { fromNpz, toNpz } from './npz.ts';
import { fromSafetensors, toSafetensors } from './safetensors.ts';

type Arrays = Readonly<Record<string, NDArray>>;

const refuse = (path: string): never => {
  throw new IngotError(
    'invalid_argument',
    `${path}: a name that ends in .npy, .npz or .safetensors is needed`,
  );
};

/** Reads .npy (one array), .npz or .safetensors (arrays by name). Rejects with not_found, bad_file or invalid_argument. */
export async function load(path: string): Promise<NDArray | Record<string, NDArray>> {
  const kind = /\.(npy|npz|safetensors)$/.exec(path)?.[1] ?? refuse(path);
  const { readFile } = await import('node:fs/promises');
  let bytes: Uint8Array;
  try {
    bytes = await readFile(path);
  } catch (cause) {
    throw new IngotError(
      'not_found',
      `${path} cannot be read: ${cause instanceof Error ? cause.message : cause}`,
      { cause },
    );
  }
  return kind === 'npy'
    ? fromNpy(bytes)
    : kind === 'npz'
      ? fromNpz(bytes, path)
      : fromSafetensors(bytes, path);
}

/** Writes one array to a .npy file, or arrays by name to .npz or .safetensors. An older file is replaced when the new one is whole. */
export async function save(path: string, what: NDArray | Arrays): Promise<void> {
  const kind = /\.(npy|npz|safetensors)$/.exec(path)?.[1] ?? refuse(path);
  if (kind === 'npy') {
    if (what instanceof NDArray) return write(path, await toNpy(what));
    throw new IngotError(
      'invalid_argument',
      `${path}: a .npy file holds one array; arrays by name go to .npz or .safetensors`,
    );
  }
  if (what instanceof NDArray) {
    throw new IngotError(
      'invalid_argument',
      `${path}: arrays by name are needed, got one array; .npy files hold one`,
    );
  }
  return write(path, kind === 'npz' ? await toNpz(what) : await toSafetensors(what));
}

/** Arrays by name as .npz. */
export const savez = async (
  path: string,
  arrays: Arrays,
  options: { readonly compress?: boolean } = {},
): Promise<void> => write(path, await toNpz(arrays, options));

/** Arrays by name as .npz with compressed members. */
export const savezCompressed = (path: string, arrays: Arrays): Promise<void> =>
  savez(path, arrays, { compress: true });

/** Arrays by name as safetensors, with texts in the header. */
export const saveSafetensors = async (
  path: string,
  arrays: Arrays,
  metadata: Readonly<Record<string, string>> = {},
): Promise<void> => write(path, await toSafetensors(arrays, metadata));

async function write(path: string, bytes: Uint8Array): Promise<void> {
  const { rename, rm, writeFile } = await import('node:fs/promises');
  const partial = `${path}.partial`;
  try {
    await writeFile(partial, bytes);
    await rename(partial, path);
  } catch (error) {
    await rm(partial, { force: true });
    throw error;
  }
}
