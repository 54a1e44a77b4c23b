// NumPy's .npz files: zip archives of .npy files, https://numpy.org/doc/stable/reference/generated/numpy.savez.html

import { unzipSync, zipSync } from 'fflate';
import { FileFormatError } from '../../base/errors.ts';
import type { NDArray } from '../array.ts';
import { fromNpy, toNpy } from './npy.ts';

/** The arrays of a .npz file, compressed or not, by name. Throws bad_file for other bytes, invalid_argument as fromNpy. */
export function fromNpz(bytes: Uint8Array, name = 'npz'): Record<string, NDArray> {
  let files: Record<string, Uint8Array>;
  try {
    files = unzipSync(bytes, { filter: (file) => file.name.endsWith('.npy') });
  } catch (cause) {
    throw new FileFormatError(name, 'archive', cause instanceof Error ? cause.message : 'is no zip file', {
      cause,
    });
  }
  return Object.fromEntries(
    Object.entries(files).map(([file, npy]) => [file.slice(0, -'.npy'.length), fromNpy(npy)]),
  );
}

/** The .npz file of these arrays; `compress` makes it smaller and slower. */
export async function toNpz(
  arrays: Readonly<Record<string, NDArray>>,
  { compress = false }: { readonly compress?: boolean } = {},
): Promise<Uint8Array> {
  const files: Record<string, Uint8Array> = {};
  for (const [name, x] of Object.entries(arrays)) files[`${name}.npy`] = await toNpy(x);
  return zipSync(files, { level: compress ? 6 : 0 });
}
