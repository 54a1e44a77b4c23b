// Blobs and files that a user chose as byte sources: a browser reads the ranges that are asked for.

import { FileFormatError } from '../base/errors.ts';
import { type ByteSource, checkRange, type Folder } from './source.ts';

/** A `File` of a browser, or a blob without a name. */
export type NamedBlob = Blob & { readonly name?: string };

export class BlobSource implements ByteSource {
  readonly name: string;
  readonly path = undefined;
  readonly #blob: Blob;

  constructor(blob: NamedBlob, name = blob.name ?? 'blob') {
    this.#blob = blob;
    this.name = name;
  }

  get size(): number {
    return this.#blob.size;
  }

  async read(offset: number, length: number): Promise<Uint8Array> {
    checkRange(this, offset, length);
    try {
      return new Uint8Array(await this.#blob.slice(offset, offset + length).arrayBuffer());
    } catch (cause) {
      const reason = cause instanceof Error ? cause.message : String(cause);
      throw new FileFormatError(this.name, 'file', `cannot be read (${reason}); choose it again`, {
        cause,
        offset,
      });
    }
  }

  async readInto(offset: number, target: Uint8Array): Promise<void> {
    target.set(await this.read(offset, target.byteLength));
  }

  async close(): Promise<void> {}
}

/** Files that a user chose together, by name. */
export const chosenFiles = (files: readonly NamedBlob[]): Folder => ({
  path: 'the chosen files',
  open: async (name) => {
    const file = files.find((f) => f.name === name);
    return file && new BlobSource(file);
  },
});
