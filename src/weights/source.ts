// Where bytes come from. Readers of foreign files take a ByteSource: every read says how much it wants, is checked against
// the size that was measured (not the one the file claims), and never maps, so a file that shrinks gives an error and not a
// signal.

import { FileFormatError } from '../base/errors.ts';

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

/** Files beside each other, by plain name: a folder on disk, files that a user chose, addresses below another. */
export interface Folder {
  /** For messages. */
  readonly path: string;
  /** Undefined when there is none of this name. */
  open(name: string): Promise<ByteSource | undefined>;
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
