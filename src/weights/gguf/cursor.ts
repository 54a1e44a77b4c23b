// Reads the header of a file front to back through one growing buffer, so that values can be decoded later from where they
// lie. The buffer never grows past what the file has and what a header may take.

import { FileFormatError } from '../../base/errors.ts';
import type { ByteSource } from '../source.ts';

/** No real header comes near (the largest vocabularies need about 15 MB): above this it is damaged. */
export const maxHeaderBytes = 64 * 2 ** 20;
const firstRead = 64 * 1024;

export class HeaderCursor {
  readonly #source: ByteSource;
  #bytes = new Uint8Array(0);
  #view = new DataView(this.#bytes.buffer);
  #filled = 0;
  position = 0;

  constructor(source: ByteSource) {
    this.#source = source;
  }

  /** Bytes of the file after the current position. */
  get remaining(): number {
    return this.#source.size - this.position;
  }

  /** All bytes read so far; positions index into it. */
  get bytes(): Uint8Array {
    return this.#bytes;
  }

  fail(field: string, problem: string): never {
    throw new FileFormatError(this.#source.name, field, problem, { offset: this.position });
  }

  /** True when the next `count` bytes are buffered: then the synchronous readers below may be used. */
  ready(count: number): boolean {
    return this.position + count <= this.#filled;
  }

  /** Buffers the next `count` bytes. Throws when the file ends first. `field` names what is being read. */
  async need(count: number, field: string): Promise<void> {
    if (this.ready(count)) return;
    if (count > this.remaining) {
      this.fail(
        field,
        `needs ${count} bytes but only ${this.remaining} follow: the file is truncated or damaged`,
      );
    }
    const end = this.position + count;
    if (end > maxHeaderBytes) this.fail(field, `the header exceeds ${maxHeaderBytes} bytes`);
    const size = Math.min(this.#source.size, maxHeaderBytes, Math.max(end, this.#filled * 2, firstRead));
    const grown = new Uint8Array(size);
    grown.set(this.#bytes.subarray(0, this.#filled));
    await this.#source.readInto(this.#filled, grown.subarray(this.#filled));
    this.#bytes = grown;
    this.#view = new DataView(grown.buffer);
    this.#filled = size;
  }

  u32(): number {
    const value = this.#view.getUint32(this.position, true);
    this.position += 4;
    return value;
  }

  /** A count or an offset: throws when it is not a safe integer. */
  u64(field: string): number {
    const value = this.#view.getBigUint64(this.position, true);
    if (value > BigInt(Number.MAX_SAFE_INTEGER)) this.fail(field, `is ${value}, which no file can hold`);
    this.position += 8;
    return Number(value);
  }

  /** Moves past length-prefixed strings as long as they are whole in the buffer and legal: at most `count`. Returns how many. */
  skipStrings(count: number, maxBytes: number): number {
    for (let done = 0; done < count; done++) {
      if (!this.ready(8)) return done;
      const length = this.#view.getUint32(this.position, true);
      const high = this.#view.getUint32(this.position + 4, true);
      if (high !== 0 || length > maxBytes || !this.ready(8 + length)) return done;
      this.position += 8 + length;
    }
    return count;
  }
}
