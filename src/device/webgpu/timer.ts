// Time of each dispatch of a run, from timestamps of the GPU: every dispatch gets a compute pass of its own.

import type { Step } from './bind.ts';
import { recordStep } from './record.ts';

export interface DispatchTime {
  readonly label: string;
  readonly ns: number;
}

export interface TimedDispatch {
  readonly label: string;
  readonly steps: readonly Step[];
  readonly params: readonly number[];
}

/** Most dispatches that are timed: a query set holds 4,096 timestamps. */
const maxDispatches = 2048;

export class DispatchTimer {
  readonly #queries: GPUQuerySet;
  readonly #resolved: GPUBuffer;
  readonly #readback: GPUBuffer;
  #labels: readonly string[] = [];
  #times: readonly DispatchTime[] = [];
  #pending = false;

  constructor(device: GPUDevice) {
    this.#queries = device.createQuerySet({ type: 'timestamp', count: 2 * maxDispatches });
    this.#resolved = device.createBuffer({ size: 16 * maxDispatches, usage: 0x204 }); // QUERY_RESOLVE | COPY_SRC
    this.#readback = device.createBuffer({ size: 16 * maxDispatches, usage: 0x9 }); // MAP_READ | COPY_DST
  }

  get times(): readonly DispatchTime[] {
    return this.#times;
  }

  /** Records dispatches; the ones beyond the limit, and those of a run while times are still being read, are not timed. */
  record(encoder: GPUCommandEncoder, dispatches: readonly TimedDispatch[]): void {
    const timed = this.#pending ? 0 : Math.min(dispatches.length, maxDispatches);
    dispatches.forEach(({ steps, params }, i) => {
      const timestampWrites = {
        querySet: this.#queries,
        beginningOfPassWriteIndex: 2 * i,
        endOfPassWriteIndex: 2 * i + 1,
      };
      const pass = encoder.beginComputePass(i < timed ? { timestampWrites } : {});
      for (const step of steps) recordStep(pass, step, params);
      pass.end();
    });
    if (timed === 0) return;
    this.#pending = true;
    this.#labels = dispatches.slice(0, timed).map(({ label }) => label);
    encoder.resolveQuerySet(this.#queries, 0, 2 * timed, this.#resolved, 0);
    encoder.copyBufferToBuffer(this.#resolved, 0, this.#readback, 0, 16 * timed);
  }

  /** Reads the times of the run that ended. */
  async collect(): Promise<void> {
    if (!this.#pending) return;
    const bytes = 16 * this.#labels.length;
    await this.#readback.mapAsync(1, 0, bytes);
    const ticks = new BigUint64Array(this.#readback.getMappedRange(0, bytes).slice(0));
    this.#readback.unmap();
    this.#pending = false;
    this.#times = this.#labels.map((label, i) => ({
      label,
      ns: Number((ticks[2 * i + 1] ?? 0n) - (ticks[2 * i] ?? 0n)),
    }));
  }

  dispose(): void {
    this.#queries.destroy();
    this.#resolved.destroy();
    this.#readback.destroy();
  }
}
