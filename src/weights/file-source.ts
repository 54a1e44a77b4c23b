// Files on disk as byte sources: Node's way to models.

import { existsSync } from 'node:fs';
import { type FileHandle, open } from 'node:fs/promises';
import { join } from 'node:path';
import { FileFormatError, IngotError } from '../base/errors.ts';
import { type ByteSource, checkRange, type Folder } from './source.ts';

/** A folder on disk. */
export const diskFolder = (path: string): Folder => ({
  path,
  open: async (name) => (existsSync(join(path, name)) ? FileSource.open(join(path, name)) : undefined),
});

/** A file on disk, read with positioned reads. */
export class FileSource implements ByteSource {
  readonly name: string;
  readonly path: string;
  readonly size: number;
  readonly #handle: FileHandle;

  private constructor(path: string, size: number, handle: FileHandle) {
    this.name = path;
    this.path = path;
    this.size = size;
    this.#handle = handle;
  }

  /** Opens a regular file. Rejects with not_found, or bad_file when it is something else. */
  static async open(path: string): Promise<FileSource> {
    let handle: FileHandle;
    try {
      handle = await open(path, 'r');
    } catch (cause) {
      throw openError(path, cause);
    }
    try {
      const status = await handle.stat();
      if (!status.isFile()) throw new FileFormatError(path, 'file', 'is not a regular file');
      return new FileSource(path, status.size, handle);
    } catch (error) {
      await handle.close();
      throw error;
    }
  }

  async read(offset: number, length: number): Promise<Uint8Array> {
    checkRange(this, offset, length);
    const target = new Uint8Array(length);
    await this.readInto(offset, target);
    return target;
  }

  async readInto(offset: number, target: Uint8Array): Promise<void> {
    checkRange(this, offset, target.byteLength);
    let done = 0;
    while (done < target.byteLength) {
      // One system call transfers less than 2 GiB.
      const want = Math.min(target.byteLength - done, 2 ** 30);
      const bytesRead = await this.#readSome(target, done, want, offset + done);
      if (bytesRead === 0) {
        throw new FileFormatError(this.name, 'size', 'the file became shorter while it was read', {
          offset: offset + done,
        });
      }
      done += bytesRead;
    }
  }

  async #readSome(target: Uint8Array, at: number, want: number, offset: number): Promise<number> {
    try {
      return (await this.#handle.read(target, at, want, offset)).bytesRead;
    } catch (cause) {
      const reason = cause instanceof Error ? cause.message : String(cause);
      throw new FileFormatError(this.name, 'file', `cannot be read (${reason})`, { cause, offset });
    }
  }

  async close(): Promise<void> {
    await this.#handle.close();
  }
}

function openError(path: string, cause: unknown): IngotError {
  const code = cause instanceof Error && 'code' in cause ? cause.code : undefined;
  if (code === 'ENOENT' || code === 'ENOTDIR') {
    return new IngotError('not_found', `${path}: no such file`, { cause, details: { path } });
  }
  if (code === 'EACCES' || code === 'EPERM') {
    return new IngotError('not_found', `${path}: no permission to read it`, { cause, details: { path } });
  }
  return new FileFormatError(path, 'file', `cannot be opened (${String(code ?? cause)})`, { cause });
}
