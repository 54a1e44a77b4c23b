// How far an export is, and whether it is still wanted.

import { storedBytes } from '../chunks.ts';
import type { RowEncoder } from './rows.ts';
import type { StoredTensor } from './stored.ts';

export interface ExportOptions {
  /** What quantises; default: plain TypeScript. */
  readonly encode?: RowEncoder | undefined;
  readonly signal?: AbortSignal | undefined;
  /** Bytes of the source's tensors that are done, out of all. */
  readonly onProgress?:
    | ((progress: { readonly bytesDone: number; readonly bytesTotal: number }) => void)
    | undefined;
}

export class ExportProgress {
  readonly #options: ExportOptions;
  readonly #total: number;
  #done = 0;

  constructor(tensors: readonly StoredTensor[], options: ExportOptions) {
    this.#options = options;
    this.#total = tensors.reduce((sum, tensor) => sum + bytesOf(tensor), 0);
  }

  get encode(): RowEncoder | undefined {
    return this.#options.encode;
  }

  /** Throws the signal's reason when the export was aborted. */
  check(): void {
    this.#options.signal?.throwIfAborted();
  }

  done(tensor: StoredTensor): void {
    this.check();
    this.#done += bytesOf(tensor);
    this.#options.onProgress?.({ bytesDone: this.#done, bytesTotal: this.#total });
  }
}

/** Bytes that are read for a tensor. */
const bytesOf = ({ parts }: StoredTensor): number =>
  parts.reduce((sum, { tensor }) => sum + storedBytes(tensor), 0);
