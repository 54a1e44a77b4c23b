// Where bytes come from. Readers of foreign files take a ByteSource: every read says how much it wants, is checked against
// the size that was measured (not the one the file claims), and never maps, so a file that shrinks gives an error and not a
// signal.

import { type FileHandle, open } from 'node:fs/promises';
import { FileFormatError, IngotError } from '../base/errors.ts';

/** Random access to the bytes of one file. Reads may run concurrently. */
export interface ByteSource {
  /** Name for messages: a path, or what the bytes are. */
  readonly name: string;
  /** Path on disk when the bytes are a file, so that they can be mapped. */
  readonly path: string | undefined;
  readonly size: number;
  /** Exactly `length` bytes from `offset`. Rejects with FileFormatError when they are not all there. */
  read(offset: number, length: number): Promise<Uint8Array>;
  /** Fills `target` from `offset`; rejects like `read`. */
  readInto(offset: number, target: Uint8Array): Promise<void>;
  close(): Promise<void>;
}

/** Throws FileFormatError unless [offset, offset + length) lies inside the source. */
export function checkRange(source: ByteSource, offset: number, length: number): void {
  const valid = Number.isSafeInteger(offset) && Number.isSafeInteger(length) && offset >= 0 && length >= 0;
  if (valid && length <= source.size - offset) return;
  throw new FileFormatError(
    source.name,
    'size',
    `${length} bytes are needed but the file has ${source.size}; it is truncated or damaged, fetch it again`,
    { offset },
  );
}

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

/** Bytes in memory, for tests and small files. */
export class MemorySource implements ByteSource {
  readonly name: string;
  readonly path = undefined;
  readonly #bytes: Uint8Array;

  constructor(bytes: Uint8Array, name = 'memory') {
    this.#bytes = bytes;
    this.name = name;
  }

  get size(): number {
    return this.#bytes.byteLength;
  }

  async read(offset: number, length: number): Promise<Uint8Array> {
    checkRange(this, offset, length);
    return this.#bytes.slice(offset, offset + length);
  }

  async readInto(offset: number, target: Uint8Array): Promise<void> {
    checkRange(this, offset, target.byteLength);
    target.set(this.#bytes.subarray(offset, offset + target.byteLength));
  }

  async close(): Promise<void> {}
}
