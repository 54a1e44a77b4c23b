// How far an export is, and whether it is still wanted.

import { storedBytes } from '../chunks.ts';
import type { CheckpointTensor } from '../tensor.ts';
import type { PlannedTensor } from './plan.ts';

export interface ExportOptions {
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

  constructor(plan: readonly PlannedTensor[], options: ExportOptions) {
    this.#options = options;
    this.#total = plan.reduce((sum, { tensor }) => sum + storedBytes(tensor), 0);
  }

  /** Throws the signal's reason when the export was aborted. */
  check(): void {
    this.#options.signal?.throwIfAborted();
  }

  done(tensor: CheckpointTensor): void {
    this.check();
    this.#done += storedBytes(tensor);
    this.#options.onProgress?.({ bytesDone: this.#done, bytesTotal: this.#total });
  }
}
