// Parts of a tensor that no file has as packing takes them, computed from what the file has when they are first read: transposed
// codes, scales that are repeated for the rows of a block, minimums that follow from zero points.

import { IngotError } from '../base/errors.ts';
import { type ByteSource, checkRange } from './source.ts';

/** Computed parts that are kept: of as many tensors as a loader works on at a time. */
const kept: DerivedParts[] = [];
const mostKept = 3;

/** The parts of one tensor: computed together, dropped when others take their place. */
export class DerivedParts {
  readonly name: string;
  readonly #sizes: readonly number[];
  readonly #compute: () => Promise<readonly Uint8Array[]>;
  #parts: Promise<readonly Uint8Array[]> | undefined;

  /** `sizes` are the bytes of each part that `compute` gives. */
  constructor(name: string, sizes: readonly number[], compute: () => Promise<readonly Uint8Array[]>) {
    this.name = name;
    this.#sizes = sizes;
    this.#compute = compute;
  }

  /** Part `index` as a source. Closing it does nothing: the files that it is made of have owners. */
  source(index: number): ByteSource {
    const part = async (): Promise<Uint8Array> => (await this.#all())[index] as Uint8Array;
    const source: ByteSource = {
      name: this.name,
      path: undefined,
      size: this.#sizes[index] ?? 0,
      async read(offset, length) {
        checkRange(source, offset, length);
        return (await part()).slice(offset, offset + length);
      },
      async readInto(offset, target) {
        checkRange(source, offset, target.byteLength);
        target.set((await part()).subarray(offset, offset + target.byteLength));
      },
      async close() {},
    };
    return source;
  }

  #all(): Promise<readonly Uint8Array[]> {
    if (this.#parts === undefined) {
      kept.push(this);
      if (kept.length > mostKept) kept.shift()?.drop();
      this.#parts = this.#computeChecked();
    }
    return this.#parts;
  }

  drop(): void {
    this.#parts = undefined;
  }

  async #computeChecked(): Promise<readonly Uint8Array[]> {
    const parts = await this.#compute();
    const sizes = parts.map((part) => part.byteLength);
    if (sizes.length === this.#sizes.length && sizes.every((size, i) => size === this.#sizes[i]))
      return parts;
    throw new IngotError(
      'internal',
      `${this.name}: parts of [${this.#sizes}] bytes expected, [${sizes}] made`,
    );
  }
}
