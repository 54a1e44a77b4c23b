// Time of each dispatch of a run, from timestamps of the GPU: every dispatch gets a compute pass of its own.

import { recordCommand, type TimedDispatch } from './record.ts';

export interface DispatchTime {
  readonly label: string;
  readonly ns: number;
}

/** Most dispatches that are timed: a query set holds 4,096 timestamps. */
const maxDispatches = 2048;

export class DispatchTimer {
  readonly #queries: GPUQuerySet;
  readonly #resolved: GPUBuffer;
  readonly #readback: GPUBuffer;
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

  /**
   * Records dispatches; the ones beyond the limit, and those of a run while times are still being read, are not timed.
   * Returns what reads the times when the run has ended, if it was timed.
   */
  record(
    encoder: GPUCommandEncoder,
    dispatches: readonly TimedDispatch[],
  ): (() => Promise<void>) | undefined {
    const timed = this.#pending ? 0 : Math.min(dispatches.length, maxDispatches);
    dispatches.forEach(({ commands }, i) => {
      const timestampWrites = {
        querySet: this.#queries,
        beginningOfPassWriteIndex: 2 * i,
        endOfPassWriteIndex: 2 * i + 1,
      };
      const pass = encoder.beginComputePass(i < timed ? { timestampWrites } : {});
      for (const command of commands) recordCommand(pass, command);
      pass.end();
    });
    if (timed === 0) return undefined;
    this.#pending = true;
    const labels = dispatches.slice(0, timed).map(({ label }) => label);
    encoder.resolveQuerySet(this.#queries, 0, 2 * timed, this.#resolved, 0);
    encoder.copyBufferToBuffer(this.#resolved, 0, this.#readback, 0, 16 * timed);
    return () => this.#collect(labels);
  }

  async #collect(labels: readonly string[]): Promise<void> {
    const bytes = 16 * labels.length;
    await this.#readback.mapAsync(1, 0, bytes);
    const ticks = new BigUint64Array(this.#readback.getMappedRange(0, bytes).slice(0));
    this.#readback.unmap();
    this.#pending = false;
    this.#times = labels.map((label, i) => ({
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
